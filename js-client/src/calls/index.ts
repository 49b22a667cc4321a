/** What pages need that call Python or publish. It is loaded with the first call. */
export { history } from "./history.js";
export { publish } from "./publish.js";
export { startCall } from "./start-call.js";
