/** `djangoinstant/testing`: a connection without servers, for the tests of applications. */
export { createFakeInstant, type FakeInstant, type FakeOptions, type FakePublication } from "./fake.js";
