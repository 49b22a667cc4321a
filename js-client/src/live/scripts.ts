/** The page's nonce as it was when this script began; scripts that come later may say anything. */
const pageNonce = document.querySelector<HTMLScriptElement>("script[nonce]")?.nonce;

/**
 * Lets scripts of new content run, each once, unless the page's Content Security Policy would keep them from it.
 *
 * The browser asks the policy for each script that is put into the page. But a script that runs may load any other
 * under `strict-dynamic`: so on a page with a nonce only those run that have it.
 */
export function start(scripts: Iterable<HTMLScriptElement>): void {
  for (const script of scripts) {
    if (!script.isConnected || (pageNonce && script.nonce !== pageNonce)) continue;
    // The one that was parsed from text never runs.
    const running = document.createElement("script");
    for (const attribute of script.attributes) running.setAttributeNode(attribute.cloneNode() as Attr);
    if (script.nonce) running.nonce = script.nonce; // which the browser hides from attributes
    running.async = script.hasAttribute("async");
    running.append(...script.childNodes);
    script.replaceWith(running);
  }
}
