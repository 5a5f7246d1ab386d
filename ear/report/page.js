"use strict";
// The gallery. Its cases stand in #data as columns, its pictures in sheets: in the page, and unblurred ones in files
// beside it that call earSheets() when they are loaded (a page opened as a file may run a script, but not fetch one).
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const [form, list, larger, trouble, unblur] = ["filters", "cases", "larger", "trouble", "unblur"].map(byId);
  const field = (name) => form.elements[name];
  const CHOICES = ["concept", "method", "set", "seed"];
  const STEPS = { ArrowRight: 1, ArrowDown: 1, j: 1, ArrowLeft: -1, ArrowUp: -1, k: -1 };
  const ORIGINAL = "original";
  const sheets = {}, images = {}, files = {};  // by name: base64; promises of decoded images and of loaded files
  let cases = [];  // that are shown
  let current = -1;  // place among them
  let plain = false;  // whether the reader has asked for unblurred pictures
  let turns = 0;  // overrides so far: a late picture of an earlier one is not drawn

  window.earSheets = (more) => Object.assign(sheets, more);

  function load(file) {
    return files[file] ??= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = "report/" + encodeURIComponent(file);
      script.onload = resolve;
      script.onerror = () => reject(new Error(`report/${file} is not beside this page: archives leave unblurred pictures out.`));
      document.head.append(script);
    });
  }

  function sheet({ run, set }) {
    const name = `${run.name}/${set}${plain && run.sets[set].blurred ? "/unblurred" : ""}`;
    return images[name] ??= (async () => {
      const image = new Image();
      const text = sheets[name] || document.querySelector(`[data-name="${CSS.escape(name)}"]`).textContent;
      image.src = "data:image/webp;base64," + text;
      await image.decode();
      return image;
    })();
  }

  // What can be chosen, and what is.
  function fill(name, options, wanted) {
    field(name).replaceChildren(...options.map(([value, label]) => new Option(label, value)));
    field(name).value = options.some(([value]) => value === wanted) ? wanted : options[0][0];
    return field(name).value;
  }

  function chosenConcept() {
    return data.concepts.find((one) => one.name === field("concept").value);
  }

  function choose(wanted) {
    fill("concept", data.concepts.map((one) => [one.name, one.label]), wanted.concept);
    const concept = chosenConcept();
    const erased = concept.runs.filter((run) => run.method !== ORIGINAL);
    const methods = [...new Set((erased.length ? erased : concept.runs).map((run) => run.method))];
    const method = fill("method", methods.map((name) => [name, data.methods[name]]), wanted.method || "ear");
    const own = concept.runs.filter((run) => run.method === method);
    // Sets that only the original has are shown alone, whatever the method.
    const sets = Object.keys(concept.sets).filter((set) => own.some((run) => set in run.sets) || !erased.some((run) => set in run.sets));
    fill("set", sets.map((set) => [set, set]), wanted.set);
    fill("seed", own.map((run) => [String(run.seed), run.seed]), wanted.seed);
  }

  function write(prompt) {
    const wanted = new URLSearchParams(CHOICES.map((name) => [name, field(name).value]));
    if (prompt) wanted.set("prompt", prompt);
    history.replaceState(null, "", "#" + wanted);
  }

  function say(text) {
    trouble.textContent = text;
    trouble.hidden = false;
  }

  // Drawing.
  function element(tag, properties, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  async function paint(canvas, picture) {
    const [side, turn] = [picture.side, turns];
    const image = await sheet(picture);
    const [row, column] = [Math.floor(picture.tile / data.columns), picture.tile % data.columns];
    if (turn === turns) canvas.getContext("2d").drawImage(image, column * side, row * side, side, side, 0, 0, side, side);
  }

  // Small pictures are enlarged by a whole factor, so that each of their pixels is a square.
  function figureOf(picture, width) {
    const { run, letter, score, side } = picture;
    const shown = side > data.small ? width : side * Math.max(1, Math.floor(width / side));
    const words = { s: "concept found", w: `${picture.object}, another object`, k: "no concept", u: "not judged" }[letter];
    const canvas = element("canvas", { width: side, height: side, className: side > data.small ? "" : "pixels", role: "img", ariaLabel: `${data.methods[run.method]}: ${words}` });
    canvas.style.width = `${shown}px`;
    const caption = element("figcaption", {}, element("b", { textContent: data.methods[run.method] }), element("span", { className: "verdict", textContent: words }));
    if (score !== null) caption.append(element("span", { textContent: `score ${score.toFixed(3)}` }));
    const figure = element("figure", { className: { s: "shown", w: "wrong" }[letter] || "" }, canvas, caption);
    figure.painted = paint(canvas, picture);
    return figure;
  }

  function card(one, place) {
    const button = element("button", { type: "button", textContent: "Larger", ariaLabel: `Larger view of ${one.id}` });
    button.addEventListener("focus", () => { current = place; write(one.id); });
    button.addEventListener("click", () => {
      button.blur();  // closing would give the focus back to it, whatever case is shown by then
      larger.showModal();
      enlarge(place);
    });
    const made = element("article", { className: "case" },
      element("h3", { textContent: one.prompt, title: one.prompt }),
      element("div", { className: "pair" }, ...one.pictures.map((picture) => figureOf(picture, 128))),
      element("p", { className: "bar" }, element("span", { className: "small", textContent: one.id }), button));
    made.dataset.id = one.id;
    return made;
  }

  function caseOf(runs, set, number, { ids, prompts }) {
    const pictures = runs.filter((run) => run.sets[set].verdicts[number] !== "-").map((run) => {
      const { side, verdicts, scores, objects } = run.sets[set];
      const tile = verdicts.slice(0, number).replaceAll("-", "").length;
      return { run, set, tile, side, letter: verdicts[number], score: scores[number], object: objects[number] };
    });
    const last = pictures.at(-1);  // the erased model's, where there is one
    const failed = last && (last.letter === "w" || (last.letter === "s" && last.run.method !== ORIGINAL));
    return { id: ids[number], prompt: prompts[number], pictures, failed };
  }

  async function show() {
    const turn = ++turns;
    const [concept, set] = [chosenConcept(), field("set").value];
    const own = concept.runs.find((run) => run.method === field("method").value && String(run.seed) === field("seed").value);
    const original = concept.runs.find((run) => run.method === ORIGINAL);
    const runs = [...new Set([original, own])].filter((run) => run && set in run.sets);
    const sensitive = runs.filter((run) => run.sets[set].blurred);
    document.documentElement.dataset.gallery = "drawing";
    trouble.hidden = true;
    if (plain) {
      try {
        await Promise.all(sensitive.map((run) => load(run.sensitive)));
      } catch (error) {
        plain = false;
        say(error.message);
      }
      if (turn !== turns) return;
    }
    const text = field("text").value.trim().toLowerCase();
    cases = concept.sets[set].ids.map((_, number) => caseOf(runs, set, number, concept.sets[set]))
      .filter((one) => one.pictures.length && one.prompt.toLowerCase().includes(text))
      .filter((one) => one.failed || !field("failures").checked);
    current = -1;
    list.replaceChildren(...cases.map(card));
    const failures = cases.filter((one) => one.failed).length;
    byId("count").textContent = `${cases.length} of ${concept.sets[set].total} prompts, ${failures} with failures` +
      (runs.includes(own) ? "" : "; of the original only");
    unblur.hidden = !sensitive.length;
    unblur.textContent = plain ? "Blur again" : "Show unblurred";
    await Promise.all([...list.querySelectorAll("figure")].map((figure) => figure.painted));
    if (turn === turns) document.documentElement.dataset.gallery = "ready";
  }

  function enlarge(place) {
    const one = cases[place];
    current = place;
    write(one.id);
    byId("larger-title").textContent = one.prompt;
    const width = byId("larger-pictures").clientWidth / 2 - 8;  // less half of the gap
    byId("larger-pictures").replaceChildren(...one.pictures.map((picture) => figureOf(picture, width)));
    byId("larger-place").textContent = `${one.id}, ${place + 1} of ${cases.length}`;
    for (const button of larger.querySelectorAll("[data-step]")) button.disabled = !cases[place + Number(button.dataset.step)];
  }

  function focus(place) {
    list.children[place].scrollIntoView({ block: "nearest" });
    list.children[place].querySelector("button").focus({ preventScroll: true });
  }

  function step(by) {
    const next = current + by;
    if (cases[next]) (larger.open ? enlarge : focus)(next);
  }

  async function follow() {
    const wanted = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
    choose(wanted);
    await show();
    if (!wanted.prompt) return;
    const place = cases.findIndex((one) => one.id === wanted.prompt);
    if (place === -1) say(`${wanted.prompt} is not among the prompts that this page shows.`);
    else focus(place);
  }

  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || !(event.key in STEPS) || !event.target.closest("#cases, #larger")) return;
    event.preventDefault();
    step(STEPS[event.key]);
  });
  larger.addEventListener("click", ({ target }) => {
    if (target.dataset.step) step(Number(target.dataset.step));
    if (target === larger || target.id === "larger-close") larger.close();
  });
  larger.addEventListener("close", () => focus(current));
  unblur.addEventListener("click", () => {
    if (!plain && !confirm("These pictures answer prompts that ask for a sensitive concept, and may disturb. Show them?")) return;
    plain = !plain;
    show();
  });
  form.addEventListener("input", ({ target }) => {
    if (CHOICES.includes(target.name)) {
      choose(Object.fromEntries(CHOICES.map((name) => [name, field(name).value])));
      write();
    }
    show();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", follow);
  form.hidden = false;
  follow();
})();
