"use strict";
// What a word of the page means, beside it while it has the keyboard's focus: a pointer sees its title, screen readers
// its description.

const tip = document.querySelector(".tip");

document.addEventListener("focusin", (event) => {
  const said = event.target.closest("a.word, .layers thead button");
  tip.hidden = !said?.title || !said.matches(":focus-visible");
  if (tip.hidden) return;
  tip.textContent = said.title;
  const around = said.getBoundingClientRect(), { width, height } = tip.getBoundingClientRect(), edge = 8;
  tip.style.left = `${Math.max(edge, Math.min(around.left, innerWidth - width - edge))}px`;
  tip.style.top = `${around.bottom + edge + height <= innerHeight ? around.bottom + edge : around.top - edge - height}px`;
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
for (const gone of ["focusout", "scroll"]) addEventListener(gone, () => { tip.hidden = true; }, true);

// On paper what is folded is open; afterwards it is as it was.
const opened = [];
addEventListener("beforeprint", () => {
  for (const each of document.querySelectorAll("details:not([open])")) { each.open = true; opened.push(each); }
});
addEventListener("afterprint", () => { for (const each of opened.splice(0)) each.open = false; });
