"use strict";
// Filters, sorts and walks through the answers of this page. Without it all of them can be read.
window.addEventListener("beforeprint", function () {
  document.querySelectorAll("details.more").forEach(function (more) { more.open = true; });
});
(function () {
  var list = document.getElementById("samples");
  if (!list) { return; }
  var form = document.getElementById("controls");
  var status = document.getElementById("status");
  var items = Array.prototype.slice.call(list.querySelectorAll("details.sample"));
  var texts = new Map();
  var field = function (name) { return document.getElementById(name); };
  var value = function (name) { return field(name) ? field(name).value : ""; };

  function text(item) {
    if (!texts.has(item)) { texts.set(item, item.textContent.toLowerCase()); }
    return texts.get(item);
  }

  function matches(item) {
    var outcome = value("outcome"), slice = value("slice"), suite = value("suite");
    var is = outcome === "reworded" ? item.dataset.reworded === "yes"
      : !outcome || item.dataset.outcome === outcome;
    return is && (!suite || item.dataset.suite === suite)
      && (!slice || JSON.parse(item.dataset.slices).includes(slice))
      && value("search").toLowerCase().split(/\s+/).every(function (word) {
        return text(item).includes(word);
      });
  }

  function filter() {
    var shown = 0;
    items.forEach(function (item) {
      item.hidden = !matches(item);
      shown += item.hidden ? 0 : 1;
    });
    status.textContent = shown + " of " + items.length + " samples";
  }

  function sort() {
    var sign = { worst: 1, best: -1 }[value("order")];
    var sorted = items.map(function (item, place) { return [item, place]; });
    var moved = function (item) {
      return item.dataset.difference === "" ? 0 : Number(item.dataset.difference);
    };
    sorted.sort(function (a, b) {
      var first = sign ? sign * (moved(a[0]) - moved(b[0]))
        : value("order") === "suite" ? a[0].dataset.suite.localeCompare(b[0].dataset.suite) : 0;
      return first || a[1] - b[1];
    });
    sorted.forEach(function (pair) { list.appendChild(pair[0]); });
  }

  function visible() {
    return Array.prototype.filter.call(list.children, function (item) { return !item.hidden; });
  }

  function step(by) {
    var shown = visible();
    var place = shown.indexOf(document.activeElement.closest("details.sample"));
    var next = shown[place + by];
    if (next) {
      next.querySelector("summary").focus();
      next.scrollIntoView({ block: "nearest" });
    }
  }

  function setOpen(open) {
    visible().forEach(function (item) { item.open = open; });
  }

  function reset() {
    form.querySelectorAll("input, select").forEach(function (one) { one.value = ""; });
    filter();
    sort();
  }

  function follow() {
    var item = document.getElementById(location.hash.slice(1));
    if (!item || !items.includes(item)) { return; }
    if (item.hidden) { reset(); }
    item.open = true;
    item.querySelector("summary").focus();
    item.scrollIntoView();
  }

  form.hidden = false;
  form.addEventListener("input", filter);
  field("reset").addEventListener("click", reset);
  field("order").addEventListener("change", sort);
  field("expand").addEventListener("click", function () { setOpen(true); });
  field("collapse").addEventListener("click", function () { setOpen(false); });
  list.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.altKey || event.metaKey) { return; }
    if (event.key === "j") { step(1); }
    else if (event.key === "k") { step(-1); }
    else if (event.key === "/") { field("search").focus(); event.preventDefault(); }
  });
  window.addEventListener("hashchange", follow);
  filter();
  follow();
})();
