/** `djangoinstant/testing`: a page's connection without servers, for an application's own tests. */
export { createFakeInstant, type FakeInstant, type FakeOptions, type FakePublication } from "./fake.js";
