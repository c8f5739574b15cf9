// Elements from plain data; texts are texts.

export function element(name, attributes = {}, children = []) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child !== "" && child != null && child !== false));
  return made;
}

export function find(selector) {
  return document.querySelector(selector);
}
