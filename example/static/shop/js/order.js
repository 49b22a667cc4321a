// The page of one order. Its parts begin together, so that they subscribe once: whoever wants to know
// who is there, and says so later, subscribes anew.
import "./orders.js";
import "./access.js";
import "./lookers.js";
