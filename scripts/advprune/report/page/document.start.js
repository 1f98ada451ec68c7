// The parts are put together. A plain anchor (#reading) is left to the browser.
buildFilters();
buildTable();
buildCurves();
buildDrawer();
readAddress();
for (const listener of listeners) listener(state);
addEventListener("hashchange", () => {
  if (!location.hash.startsWith("#/")) return;
  readAddress();
  for (const listener of listeners) listener(state);
});
drawer.addEventListener("click", (event) => {
  // explanations of marks stand on the page below the drawer
  if (event.target.closest('a[href^="#"]')) drawer.close();
});
