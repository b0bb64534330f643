"use strict";
const form = document.getElementById("claim");
const told = document.getElementById("told");
const token = location.hash.slice(1);

function tell(text, isGood) {
  told.textContent = text;
  told.className = isGood ? "hint good" : "hint bad";
}

function messageOf(answer) {
  const error = answer.error;
  return typeof error === "string" ? error : error && error.message ? error.message : "The gateway did not say why.";
}

async function register(event) {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const fields = Object.fromEntries(new FormData(form));
    const response = await fetch("/api/v1/auth/register", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ ...fields, claim: token }),
    });
    const answer = await response.json();
    if (response.status === 201) {
      history.replaceState(null, "", "/claim");
      form.hidden = true;
      tell("You are the operator now, and signed in. The link that brought you here is used up.", true);
      return;
    }
    tell(messageOf(answer), false);
  } catch {
    tell("The gateway does not answer; try again.", false);
  }
  button.disabled = false;
}

if (token) {
  form.addEventListener("submit", register);
} else {
  form.hidden = true;
  tell("This address lacks the part behind #: open the whole link that the start printed.", false);
}
