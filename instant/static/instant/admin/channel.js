/*
 * The form of a channel shows the pickers of groups and users only where they count.
 *
 * A select says so itself: data-instant-shows names the fields, data-instant-on the value with
 * which they count. What is chosen stays chosen while it is hidden, and an error is never hidden.
 * Without JavaScript all fields stay.
 */
"use strict"

document.addEventListener("DOMContentLoaded", () => {
  for (const select of document.querySelectorAll("select[data-instant-shows]")) {
    const rows = select.dataset.instantShows
      .split(" ")
      .map((name) => document.querySelector(`.form-row.field-${name}`))
      .filter((row) => row !== null)
    const follow = () => {
      const counts = select.value === select.dataset.instantOn
      for (const row of rows) row.classList.toggle("hidden", !counts && !row.querySelector(".errorlist"))
    }
    select.addEventListener("change", follow)
    // A reload, or the way back, restores what was chosen, and tells nobody.
    window.addEventListener("pageshow", follow)
    follow()
  }
})
