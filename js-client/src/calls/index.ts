/** What pages need that call Python, publish, or ask for people and past messages. It is loaded when it is used first. */
export { history } from "./history.js";
export { presence, watchPresence } from "./presence.js";
export { publish, whisper } from "./publish.js";
export { startCall } from "./start-call.js";
