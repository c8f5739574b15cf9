// The figures on top: what they are now, and what they were at the start.

import { element } from "./elements.js";

const SIGNS = { more: "▲", less: "▼", same: "" };
const STATES = { bound: "a bound", unknown: "not known", all: "the output sees the whole input" };

export function showFigures(root, figures, beside) {
  const others = new Map((beside?.figures ?? []).map((figure) => [figure.key, figure]));
  root.replaceChildren(
    ...figures.map((figure) => {
      const other = others.get(figure.key);
      const state = STATES[figure.status];
      return element("div", { class: `figure ${figure.direction}`, "data-key": figure.key }, [
        element("dt", {}, [figure.name]),
        element("dd", {}, [
          element("span", { class: "now", title: figure.exact }, [figure.now]),
          figure.direction === "same"
            ? element("span", { class: "delta" }, [figure.now === figure.was ? "as at the start" : `was ${figure.was}`])
            : element("span", { class: "delta", title: `was ${figure.was}` }, [
                element("span", { "aria-hidden": "true" }, [SIGNS[figure.direction], " "]),
                [figure.change, figure.percent && `(${figure.percent})`].filter(Boolean).join(" "),
              ]),
          state && element("small", {}, [state]),
          other && element("small", { class: "beside" }, [`${other.now}${other.percent && `, here ${other.percent}`}`]),
        ]),
      ]);
    }),
  );
}

const LIGHTS = { kept: "✓", broken: "✗", unknown: "?" };

// The limits of the project's config, each kept, broken or not known.
export function showLights(root, lights) {
  root.replaceChildren(
    ...lights.map((light) =>
      element("li", { class: light.state, title: light.state === "broken" ? light.message : "" }, [
        element("span", { "aria-hidden": "true" }, [LIGHTS[light.state], " "]),
        `${light.words}: ${light.state === "kept" ? "kept" : light.state === "broken" ? `broken, ${light.now}` : `not known, ${light.now}`}`,
      ]),
    ),
  );
}
