"use strict";
// The gallery. Its cases stand in #data as columns, its pictures in sheets: in the page, or in side files that
// call earSheets() when they are loaded (a page opened as a file may run a script, but not fetch one).
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const form = document.getElementById("filters");
  const list = document.getElementById("cases");
  const count = document.getElementById("count");
  const trouble = document.getElementById("trouble");
  const larger = document.getElementById("larger");
  const consent = document.getElementById("consent");
  const reveal = document.getElementById("reveal");
  const field = (name) => form.elements[name];
  const FIELDS = ["concept", "method", "set", "seed", "sort"];
  const ORIGINAL = "original";
  const VERDICT = { S: "concept shown", s: "concept shown", W: "", k: "no concept", u: "not judged" };

  // Sheets: name → base64, name → promise of its decoded image; side files asked for.
  const texts = new Map([...document.querySelectorAll("script.sheet")].map((one) => [one.dataset.name, () => one.textContent]));
  const images = new Map();
  const files = new Map();
  const unblurred = new Set();  // runs' names, of which the reader has asked to see the pictures
  let agreed = false;
  let state = null;  // what is chosen, and the cases in the order shown
  let current = null;  // prompt id

  window.earSheets = (sheets) => {
    for (const [name, text] of Object.entries(sheets)) texts.set(name, () => text);
  };

  function load(file) {
    if (!files.has(file)) {
      files.set(file, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = "report/" + encodeURIComponent(file);
        script.onload = resolve;
        script.onerror = () => { files.delete(file); script.remove(); reject(new Error("report/" + file)); };
        document.head.append(script);
      }));
    }
    return files.get(file);
  }

  async function sheet(run, set, plain) {
    const name = runName(run) + "/" + set;
    const wanted = plain && (run.blurred || []).includes(set) ? "sensitive/" + name : name;
    const file = wanted === name ? run.file : run.sensitive;
    if (!texts.has(wanted) && file) await load(file);
    if (!images.has(wanted)) {
      const image = new Image();
      image.src = "data:image/webp;base64," + texts.get(wanted)();
      images.set(wanted, image.decode().then(() => image));
    }
    return images.get(wanted);
  }

  const runName = (run) => [run.concept, run.method, run.seed].join("-");
  const sensitive = (run, set) => Boolean(run && (run.blurred || []).includes(set));
  for (const concept of data.concepts) for (const run of concept.runs) run.concept = concept.name;

  // What can be chosen.
  const conceptOf = (name) => data.concepts.find((one) => one.name === name);
  const originalOf = (concept) => concept.runs.find((run) => run.method === ORIGINAL);

  function methodsOf(concept) {
    const erased = Object.keys(data.methods).filter((name) => name !== ORIGINAL && concept.runs.some((run) => run.method === name));
    return erased.length ? erased : [ORIGINAL];
  }

  function setsOf(concept, method) {
    const own = concept.runs.filter((run) => run.method === method);
    const others = concept.runs.filter((run) => run.method !== ORIGINAL);
    // Sets that only the original has are shown alone, whatever the method.
    return Object.keys(concept.sets).filter((set) => own.some((run) => set in run.sets) || !others.some((run) => set in run.sets));
  }

  function fill(name, options, wanted) {
    const select = field(name);
    select.replaceChildren(...options.map(([value, label]) => new Option(label, value)));
    select.value = options.some(([value]) => value === wanted) ? wanted : options[0][0];
    return select.value;
  }

  function fillAll(wanted) {
    const concept = conceptOf(fill("concept", data.concepts.map((one) => [one.name, one.label]), wanted.concept));
    const methods = methodsOf(concept);
    const method = fill("method", methods.map((name) => [name, data.methods[name]]), wanted.method || (methods.includes("ear") ? "ear" : ""));
    fill("set", setsOf(concept, method).map((set) => [set, set]), wanted.set);
    const seeds = concept.runs.filter((run) => run.method === method).map((run) => String(run.seed));
    fill("seed", seeds.map((seed) => [seed, seed]), wanted.seed);
    field("sort").value = ["score", "failures"].includes(wanted.sort) ? wanted.sort : "";
  }

  // The cases of a choice.
  function caseOf(concept, set, runs, number) {
    const pictures = runs.filter((run) => run && run.sets[set] && run.sets[set].verdicts[number] !== "-").map((run) => {
      const own = run.sets[set];
      const tile = [...own.verdicts.slice(0, number)].filter((letter) => letter !== "-").length;
      return { run, set, tile, side: own.side, letter: own.verdicts[number], score: own.scores[number], object: own.objects[number] };
    });
    const erased = pictures.find((picture) => picture.run.method !== ORIGINAL);
    const judged = erased || pictures[0];
    return {
      number, pictures,
      id: concept.sets[set].ids[number],
      prompt: concept.sets[set].prompts[number],
      failed: Boolean(judged) && "SW".includes(judged.letter),
      score: judged && judged.score !== null ? judged.score : -Infinity,
    };
  }

  function choose() {
    const concept = conceptOf(field("concept").value);
    const [method, set, seed] = ["method", "set", "seed"].map((name) => field(name).value);
    const own = concept.runs.find((run) => run.method === method && String(run.seed) === seed);
    const runs = method === ORIGINAL ? [own] : [originalOf(concept), own];
    const all = concept.sets[set].ids.map((_, number) => caseOf(concept, set, runs, number)).filter((one) => one.pictures.length);
    const text = field("text").value.trim().toLowerCase();
    const cases = all.filter((one) => one.prompt.toLowerCase().includes(text));
    const sort = field("sort").value;
    if (sort === "score") cases.sort((a, b) => (a.score === b.score ? 0 : b.score - a.score) || a.number - b.number);
    if (sort === "failures") cases.sort((a, b) => b.failed - a.failed || a.number - b.number);
    return { concept, method, set, seed, runs, cases, all };
  }

  // Drawing.
  function element(tag, properties, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  function words(picture) {
    return picture.letter === "W" ? picture.object + ", not as asked" : VERDICT[picture.letter];
  }

  async function paint(canvas, picture) {
    const plain = unblurred.has(runName(picture.run)) || unblurred.has(canvas.dataset.key);
    try {
      const image = await sheet(picture.run, picture.set, plain);
      const [row, column] = [Math.floor(picture.tile / data.columns), picture.tile % data.columns];
      const { side } = picture;
      canvas.getContext("2d").drawImage(image, column * side, row * side, side, side, 0, 0, side, side);
      canvas.dataset.drawn = plain && sensitive(picture.run, picture.set) ? "unblurred" : "yes";
      return true;
    } catch (error) {
      canvas.dataset.drawn = "missing";
      trouble.textContent = `${error.message} is not beside this page: its pictures cannot be shown. ` +
        (plain && sensitive(picture.run, picture.set) ? "Archives leave unblurred pictures out." : "Copy the folder report/ together with the page.");
      trouble.hidden = false;
      return false;
    }
  }

  function figureOf(one, picture) {
    const label = data.methods[picture.run.method];
    const blurred = sensitive(picture.run, picture.set);
    const canvas = element("canvas", { width: picture.side, height: picture.side });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${label}: ${words(picture)}${blurred ? " (blurred)" : ""}`);
    canvas.dataset.key = `${runName(picture.run)}/${one.id}`;
    const caption = element("figcaption", {}, element("b", { textContent: label }), element("span", { className: "verdict", textContent: words(picture) }));
    if (picture.score !== null) caption.append(element("span", { className: "score", textContent: `score ${picture.score.toFixed(3)}` }));
    const figure = element("figure", { className: "Ss".includes(picture.letter) ? "shown" : picture.letter === "W" ? "wrong" : "kept" }, canvas, caption);
    figure.dataset.method = picture.run.method;
    if (blurred) {
      const button = element("button", { type: "button", className: "unblur", textContent: "Unblur" });
      button.setAttribute("aria-label", `Unblur the picture of ${label}: ${one.prompt.slice(0, 80)}`);
      button.addEventListener("click", () => withConsent(() => { unblurred.add(canvas.dataset.key); repaint(); }));
      figure.append(button);
    }
    figure.paint = () => paint(canvas, picture);
    return figure;
  }

  const repaint = () => Promise.all([...document.querySelectorAll(".pair figure")].map((figure) => figure.paint()));

  function withConsent(then) {
    if (agreed) return then();
    consent.returnValue = "";
    consent.onclose = () => {
      agreed = consent.returnValue === "yes";
      if (agreed) then();
    };
    consent.showModal();
  }

  function card(one) {
    const copy = element("button", { type: "button", className: "copy", textContent: "Copy link" });
    copy.setAttribute("aria-label", `Copy link to ${one.id}`);
    copy.addEventListener("click", () => copyLink(one, copy));
    const enlarge = element("button", { type: "button", className: "enlarge", textContent: "Larger" });
    enlarge.setAttribute("aria-label", `Larger view of ${one.id}`);
    enlarge.addEventListener("click", () => { select(one.id); open(); });
    const made = element("article", { className: "case", tabIndex: -1 },
      element("h3", { textContent: one.prompt, title: one.prompt }),
      element("div", { className: "pair" }, ...one.pictures.map((picture) => figureOf(one, picture))),
      element("p", { className: "bar" }, element("span", { className: "small", textContent: one.id }), copy, enlarge));
    made.dataset.id = one.id;
    made.setAttribute("aria-label", `Case ${one.id}`);
    if (one.failed) made.dataset.failed = "";
    made.addEventListener("focus", () => select(one.id));
    return made;
  }

  function show() {
    state = choose();
    trouble.hidden = true;
    list.replaceChildren(...state.cases.map(card));
    if (!state.cases.some((one) => one.id === current)) current = null;
    mark();
    const total = state.concept.sets[state.set].total;
    const failures = state.cases.filter((one) => one.failed).length;
    count.textContent = `${state.cases.length} of ${total} prompts, ${failures} ${failures === 1 ? "failure" : "failures"}` +
      (state.runs.length > 1 && !(state.runs[1] && state.runs[1].sets[state.set]) ? "; of the original only" : "");
    const blurred = state.runs.some((run) => sensitive(run, state.set));
    reveal.hidden = !blurred;
    reveal.textContent = blurred && state.runs.every((run) => unblurred.has(runName(run))) ? "Blur again" : "Show all unblurred";
    document.documentElement.dataset.gallery = "drawing";
    const drawn = state;
    repaint().then(() => { if (state === drawn) document.documentElement.dataset.gallery = "ready"; });
  }

  // The current case: marked, focusable, and in the address.
  const cards = () => [...list.children];
  const cardOf = (id) => cards().find((one) => one.dataset.id === id);

  function mark() {
    for (const one of cards()) {
      one.classList.toggle("current", one.dataset.id === current);
      one.tabIndex = one.dataset.id === current ? 0 : -1;
    }
    if (current === null && list.firstElementChild) list.firstElementChild.tabIndex = 0;
  }

  function hashOf(id) {
    const wanted = new URLSearchParams();
    for (const name of FIELDS) if (field(name).value) wanted.set(name, field(name).value);
    if (id) wanted.set("prompt", id);
    return "#" + wanted;
  }

  function select(id) {
    current = id;
    mark();
    history.replaceState(null, "", hashOf(id));
  }

  function step(by) {
    const place = state.cases.findIndex((one) => one.id === current);
    const next = state.cases[place === -1 ? 0 : place + by];
    if (!next) return;
    select(next.id);
    cardOf(next.id).scrollIntoView({ block: "nearest" });
    if (larger.open) fillLarger();
    else cardOf(next.id).focus({ preventScroll: true });
  }

  async function copyLink(one, button) {
    const address = location.href.split("#")[0] + hashOf(one.id);
    const before = "Copy link";
    try {
      await navigator.clipboard.writeText(address);
      button.textContent = "Copied";
    } catch {  // not allowed here: the address bar then holds it
      button.textContent = "In address bar";
    }
    select(one.id);
    setTimeout(() => { button.textContent = before; }, 1500);
  }

  // The larger view.
  const currentCase = () => state.cases.find((one) => one.id === current);

  function fillLarger() {
    const one = currentCase();
    const place = state.cases.indexOf(one);
    document.getElementById("larger-title").textContent = one.prompt;
    document.getElementById("larger-place").textContent = `${one.id}, ${place + 1} of ${state.cases.length}`;
    const pictures = one.pictures.map((picture) => figureOf(one, picture));
    document.getElementById("larger-pictures").replaceChildren(...pictures);
    for (const button of larger.querySelectorAll("[data-step]")) button.disabled = !state.cases[place + Number(button.dataset.step)];
    return Promise.all(pictures.map((figure) => figure.paint()));
  }

  function open() {
    if (!currentCase()) return;
    fillLarger();
    // Closing would give the focus back to the case that was opened, and so choose it again.
    document.activeElement.blur();
    larger.showModal();
  }

  function follow(scroll) {
    const wanted = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
    if (!("concept" in wanted)) return false;
    field("text").value = "";
    fillAll(wanted);
    current = wanted.prompt || null;
    show();
    if (wanted.prompt && current === null) {
      trouble.textContent = `${wanted.prompt} is not among the prompts that this page shows.`;
      trouble.hidden = false;
    }
    if (current) {
      cardOf(current).scrollIntoView({ block: "center" });
      cardOf(current).focus({ preventScroll: true });
    } else if (scroll) {
      document.getElementById("gallery").scrollIntoView();
    }
    return true;
  }

  const STEPS = { ArrowRight: 1, ArrowDown: 1, j: 1, ArrowLeft: -1, ArrowUp: -1, k: -1 };
  function onKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("input, select")) return;
    if (event.key in STEPS) {
      event.preventDefault();
      step(STEPS[event.key]);
    } else if (event.key === "Enter" && event.target.classList.contains("case")) {
      event.preventDefault();
      open();
    }
  }

  list.addEventListener("keydown", onKey);
  larger.addEventListener("keydown", onKey);
  larger.addEventListener("click", (event) => {
    if (event.target === larger || event.target.id === "larger-close") larger.close();
    if (event.target.dataset.step) step(Number(event.target.dataset.step));
  });
  larger.addEventListener("close", () => { const one = cardOf(current); if (one) one.focus(); });
  document.getElementById("larger-copy").addEventListener("click", (event) => copyLink(currentCase(), event.target));
  for (const button of consent.querySelectorAll("button")) button.addEventListener("click", () => consent.close(button.value));
  reveal.addEventListener("click", () => {
    const names = state.runs.map(runName);
    if (names.every((name) => unblurred.has(name))) {
      unblurred.clear();
      show();
    } else {
      withConsent(() => { for (const name of names) unblurred.add(name); show(); });
    }
  });
  form.addEventListener("change", (event) => {
    if (event.target.name !== "text") {
      fillAll(Object.fromEntries(FIELDS.map((name) => [name, field(name).value])));
      current = null;
      show();
      history.replaceState(null, "", hashOf(null));
    }
  });
  field("text").addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", () => follow(true));

  form.hidden = false;
  if (!follow(true)) {
    fillAll({});
    show();
  }
})();
