// Prices that change, and products that come, while somebody reads the list.
import { fill, highlight } from "./dom.js";

const channel = instant.channel("catalogue");
channel.on("price.changed", ({ data }) => {
  const row = document.querySelector(`[data-product="${Number(data.product)}"]`);
  if (!row) return;
  fill(row, { price: data.price, was: data.was });
  row.querySelector("[data-slot=was]").hidden = false;
  highlight(row);
});
// The list stays where its reader is; the count of a search is not ours to know.
channel.on("catalogue.grew", ({ data }) => {
  document.getElementById("new-products").hidden = false;
  const count = document.getElementById("count");
  if (count) count.textContent = `${data.count} product${data.count === 1 ? "" : "s"}`;
});
channel.onLost(() => location.reload());
