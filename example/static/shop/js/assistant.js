// The answers show themselves (<instant-stream>); here are the keys and the buttons.
const form = document.getElementById("ask");

form.elements.text.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
});

for (const button of document.querySelectorAll(".stop")) {
  button.addEventListener("click", async () => {
    button.disabled = true;
    await button.previousElementSibling.stop().catch(() => undefined);
    button.disabled = false;
  });
}
