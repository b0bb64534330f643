/** Amounts of money as exact decimal strings: no float touches them between the wire and the eye. */

export type Money = string;

/** Read an amount as the API gives it; what is none is an error of the program, never 0. */
export function toMoney(value: unknown): Money {
  if (typeof value === "string" && /^-?\d+(\.\d+)?$/.test(value)) return value;
  if (typeof value === "number" && Number.isFinite(value)) return plain(value);
  throw new Error(`no amount: ${JSON.stringify(value)}`);
}

/** Write a number without an exponent. */
export function plain(value: number): string {
  const text = String(value);
  return /e/.test(text) ? value.toFixed(20).replace(/\.?0+$/, "") : text;
}

/** For bars and charts alone, where a pixel is coarser than any rounding. */
export function toNumber(value: unknown): number {
  return Number(toMoney(value));
}

/** Round half up to that many decimals, by digits. */
function rounded(digits: string, decimals: number): string {
  const [whole = "0", fraction = ""] = digits.split(".");
  const kept = (fraction + "0".repeat(decimals + 1)).slice(0, decimals + 1);
  const scaled = (BigInt(whole + kept) + 5n) / 10n;
  const text = scaled.toString().padStart(decimals + 1, "0");
  return decimals === 0 ? text : `${text.slice(0, -decimals)}.${text.slice(-decimals)}`;
}

function grouped(text: string): string {
  const [whole = "0", fraction] = text.split(".");
  const parted = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return fraction === undefined ? parted : `${parted}.${fraction}`;
}

function isNothing(digits: string): boolean {
  return /^[0.]*$/.test(digits);
}

/** Show an amount: cents from a dollar on, below it two digits that count, so that little is never shown as nothing. */
export function showMoney(value: unknown): string {
  const exact = toMoney(value);
  const sign = exact.startsWith("-") ? "−" : "";
  const digits = exact.replace("-", "");
  if (isNothing(digits)) return "$0";
  const zeros = /^0*\.(0*)/.exec(digits.startsWith("0") ? digits.replace(/^0+/, "") : digits);
  const decimals = zeros ? Math.max(2, (zeros[1]?.length ?? 0) + 2) : 2;
  // Nothing that counts is lost with zeros at the end; cents keep theirs.
  return `${sign}$${grouped(rounded(digits, decimals).replace(/(\.\d\d\d*?)0+$/, "$1"))}`;
}

/** Show an amount briefly, for axes. */
export function showShortMoney(value: number): string {
  if (value === 0) return "$0";
  const size = Math.abs(value);
  if (size >= 1e6) return `$${trimmed(value / 1e6)}M`;
  if (size >= 1e4) return `$${trimmed(value / 1e3)}k`;
  if (size >= 1) return `$${trimmed(value)}`;
  return `$${plain(Number(value.toPrecision(2)))}`;
}

function trimmed(value: number): string {
  return String(Number(value.toPrecision(3)));
}

/** Every digit, for who wants to know. */
export function showExact(value: unknown): string {
  const exact = toMoney(value);
  return `${exact.startsWith("-") ? "−" : ""}$${grouped(exact.replace("-", ""))}`;
}

const DECIMALS = 18;

function scaled(value: unknown): bigint {
  const exact = toMoney(value);
  const [whole = "0", fraction = ""] = exact.replace("-", "").split(".");
  const digits = BigInt(whole + fraction.padEnd(DECIMALS, "0").slice(0, DECIMALS));
  return exact.startsWith("-") ? -digits : digits;
}

function unscaled(value: bigint): Money {
  const digits = (value < 0n ? -value : value).toString().padStart(DECIMALS + 1, "0");
  const text = `${digits.slice(0, -DECIMALS)}.${digits.slice(-DECIMALS)}`.replace(/\.?0+$/, "");
  return value < 0n && text !== "0" ? `-${text}` : text;
}

/** Add amounts with every digit. */
export function addMoney(...amounts: unknown[]): Money {
  return unscaled(amounts.reduce((sum: bigint, amount) => sum + scaled(amount), 0n));
}

/** Take one amount off another with every digit. */
export function subtractMoney(from: unknown, amount: unknown): Money {
  return unscaled(scaled(from) - scaled(amount));
}
