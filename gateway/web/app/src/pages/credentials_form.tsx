import { useState } from "preact/hooks";
import type { Failure } from "../core/api";
import { Button } from "../ui/button";
import { Input } from "../ui/field";
import { Notice } from "../ui/states";

export interface Person {
  name: string;
  email: string;
  password: string;
}

interface FormProps {
  verb: string;
  isNew: boolean;
  isBusy: boolean;
  error: Failure | undefined;
  onSend: (person: Person) => void;
}

/** E-mail address and password, with a name for who is new. */
export function CredentialsForm({ verb, isNew, isBusy, error, onSend }: FormProps) {
  const [person, setPerson] = useState<Person>({ name: "", email: "", password: "" });
  const change = (field: keyof Person) => (value: string) => setPerson({ ...person, [field]: value });
  return (
    <form
      class="card stack"
      onSubmit={(event) => {
        event.preventDefault();
        onSend(person);
      }}
    >
      {isNew && (
        <Input
          label="Name"
          name="name"
          autocomplete="name"
          maxLength={128}
          isLarge
          value={person.name}
          onInput={change("name")}
        />
      )}
      <Input
        label="E-mail address"
        name="email"
        type="email"
        autocomplete="username"
        required
        maxLength={254}
        isLarge
        value={person.email}
        onInput={change("email")}
      />
      <Input
        label="Password"
        name="password"
        type="password"
        autocomplete={isNew ? "new-password" : "current-password"}
        required
        minLength={isNew ? 8 : undefined}
        hint={isNew ? "At least 8 characters." : undefined}
        isLarge
        value={person.password}
        onInput={change("password")}
      />
      {error && <Notice tone="bad">{error.message}</Notice>}
      <Button kind="main" type="submit" isLarge isBusy={isBusy}>
        {verb}
      </Button>
    </form>
  );
}
