// What pages with scripts have in common: parts of which one is shown, progress, and a notice. All words are in the page already.

export const by = <T extends HTMLElement = HTMLElement>(id: string) => document.getElementById(id) as T;
export const show = (e: HTMLElement, yes = true) => {
  e.hidden = !yes;
};
export const word = (key: string) => document.querySelector(`#words [data-word="${CSS.escape(key)}"]`)?.textContent ?? "";

/** view shows one of the page's parts, and puts the reader there unless they are there. */
export function view(name: string): void {
  if (!document.querySelector<HTMLElement>(`[data-view="${name}"]`)!.hidden) return;
  for (const section of document.querySelectorAll<HTMLElement>("[data-view]")) show(section, section.dataset.view === name);
  document.querySelector<HTMLElement>(`[data-view="${name}"] h1`)?.focus();
  window.scrollTo(0, 0);
}

export type StepState = "ahead" | "doing" | "done" | "waiting" | "failed";

/** step draws how far it is, and says it; false if that is drawn already. */
export function step(name: string, state: StepState): boolean {
  const item = document.querySelector<HTMLElement>(`[data-step="${name}"]`);
  if (!item || item.dataset.state === state) return false;
  item.dataset.state = state;
  item.querySelector(".state")!.textContent = word("state-" + state);
  by("said").textContent = `${item.querySelector(".what")!.textContent}: ${word("state-" + state)}`;
  return true;
}

/** copy makes one of a template's content, and fills its parts by their data-part. */
export function copy(template: string, parts: Record<string, string>): HTMLElement {
  const e = (by(template) as HTMLTemplateElement).content.firstElementChild!.cloneNode(true) as HTMLElement;
  for (const part of e.querySelectorAll<HTMLElement>("[data-part]")) {
    const text = parts[part.dataset.part!] ?? "";
    part.textContent = text;
    show(part, text !== "");
  }
  return e;
}

/** moment is a time as the reader's language and zone have it. */
export function moment(at: Date): HTMLTimeElement {
  const out = document.createElement("time");
  const language = { en: "en-GB" }[document.documentElement.lang] ?? document.documentElement.lang;
  out.dateTime = at.toISOString();
  out.textContent = new Intl.DateTimeFormat(language, { dateStyle: "long", timeStyle: "short" }).format(at);
  return out;
}
