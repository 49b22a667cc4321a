// Prices that change while somebody reads the list.
import { fill, highlight } from "./dom.js";

const channel = instant.channel("catalogue");
channel.on("price.changed", ({ data }) => {
  const row = document.querySelector(`[data-product="${Number(data.product)}"]`);
  if (!row) return;
  fill(row, { price: data.price, was: data.was });
  row.querySelector("[data-slot=was]").hidden = false;
  highlight(row);
});
channel.onLost(() => location.reload());
