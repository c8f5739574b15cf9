"use strict";
// What a word of the page means, beside it while it has the keyboard's focus: a pointer sees its title, screen readers
// its description.

const tip = document.querySelector(".tip");

document.addEventListener("focusin", (event) => {
  const word = event.target.closest("a.word, .layers thead button");
  tip.hidden = !word?.title || !word.matches(":focus-visible");
  if (tip.hidden) return;
  tip.textContent = word.title;
  placeTip(word);
});
document.addEventListener("focusout", () => { tip.hidden = true; });
document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
// What gets the focus is brought into view: its explanation goes along.
addEventListener("scroll", () => { if (!tip.hidden) placeTip(document.activeElement); }, true);

function placeTip(word) {
  const around = word.getBoundingClientRect(), { width, height } = tip.getBoundingClientRect(), edge = 8;
  tip.style.left = `${Math.max(edge, Math.min(around.left, innerWidth - width - edge))}px`;
  tip.style.top = `${around.bottom + edge + height <= innerHeight ? around.bottom + edge : around.top - edge - height}px`;
}

// On paper what is folded is open; afterwards it is as it was.
const opened = [];
addEventListener("beforeprint", () => {
  for (const each of document.querySelectorAll("details:not([open])")) { each.open = true; opened.push(each); }
});
addEventListener("afterprint", () => { for (const each of opened.splice(0)) each.open = false; });
