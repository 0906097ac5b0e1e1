"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const tools = byId("tools");
  if (!tools) return;
  const list = byId("cards");
  const cards = Array.from(list.children);
  const texts = new Map();
  const textOf = (card) => {
    if (!texts.has(card)) texts.set(card, card.textContent.toLowerCase());
    return texts.get(card);
  };
  const number = (key, sign) => (a, b) => sign * (a.dataset[key] - b.dataset[key]);
  const inOrder = number("n", 1);
  const orders = {
    n: inOrder,
    score: number("score", -1),
    rank: number("rank", 1),
    class: (a, b) => (a.dataset.class < b.dataset.class ? -1 : a.dataset.class > b.dataset.class ? 1 : 0),
  };

  const filter = () => {
    const words = byId("words").value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = byId("class").value;
    let shown = 0;
    for (const card of cards) {
      const fits = (!wanted || card.dataset.class === wanted) &&
        words.every((word) => textOf(card).includes(word));
      card.hidden = !fits;
      shown += fits;
    }
    byId("shown").textContent = shown === cards.length
      ? `${shown.toLocaleString("en")} shown`
      : `${shown.toLocaleString("en")} of ${cards.length.toLocaleString("en")} shown`;
  };
  const sort = () => {
    const order = orders[byId("sort").value];
    list.append(...cards.sort((a, b) => order(a, b) || inOrder(a, b)));
  };
  const toggle = () => {
    const open = byId("open").getAttribute("aria-pressed") !== "true";
    byId("open").setAttribute("aria-pressed", String(open));
    byId("open").textContent = open ? "Close all" : "Open all";
    for (const card of cards) card.firstElementChild.open = open;
  };

  byId("words").addEventListener("input", filter);
  byId("class").addEventListener("change", filter);
  byId("sort").addEventListener("change", sort);
  byId("open").addEventListener("click", toggle);
  tools.hidden = false;
  filter();
  sort();
})();
