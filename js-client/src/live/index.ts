/** `djangoinstant/live`: lists that follow a queryset, for pages that draw by themselves. */
export { liveList, type LiveListOptions, type LiveRows } from "./live-list.js";
