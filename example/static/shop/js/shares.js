// With whom an order is shared, for those who decide on it; others of them may change it too.
import { copy, isStaff, ownChannel } from "./dom.js";

const page = document.querySelector("article[data-order]");
const list = document.getElementById("shares");
const template = list.parentElement.querySelector("template");

function itemOf(share) {
  const item = copy(template, share);
  item.querySelector("button").value = share.user;
  return item;
}

instant.channel(isStaff ? "$staff" : ownChannel).on("order.shares", ({ data }) => {
  if (data.order === Number(page.dataset.order)) list.replaceChildren(...data.shares.map(itemOf));
});
