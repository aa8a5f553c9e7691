// The form in which a person chooses the passphrase of their file, as it is on every page that makes one.
import { by, show, word } from "./page";
import { shortest, strength, suggest } from "./passphrase";

/** passphraseForm wires the form. Known is what others know of the person, of which a passphrase must not be made; ready says whether
 * one can be taken now; take gets it. */
export function passphraseForm(known: () => string[], ready: () => boolean, take: (passphrase: string) => void): void {
  const field = by<HTMLInputElement>("passphrase"), form = by<HTMLFormElement>("passphrase-form");
  field.minLength = shortest;
  const judge = () => {
    const s = strength(field.value, known());
    by<HTMLMeterElement>("strength").value = ["short", "weak", "fair", "good", "strong"].indexOf(s);
    by("strength-word").textContent = field.value === "" ? "" : word("strength-" + s);
    field.setCustomValidity(s === "short" || s === "weak" ? word("strength-" + s) : "");
    show(by("ascii"), /[^ -~]/.test(field.value));
  };
  const reveal = (yes: boolean) => {
    field.type = yes ? "text" : "password";
    by("show").setAttribute("aria-pressed", String(yes));
  };
  field.addEventListener("input", judge);
  by("show").addEventListener("click", () => reveal(field.type === "password"));
  by("suggest").addEventListener("click", () => {
    field.value = suggest();
    reveal(true);
    judge();
    field.focus();
  });
  form.addEventListener("submit", (e) => {
    e.preventDefault();
    judge();
    if (!ready() || !form.reportValidity()) return;
    const chosen = field.value.normalize("NFC");
    reveal(false);
    take(chosen);
  });
}
