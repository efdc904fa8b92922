// Widgets ask require.js for their scripts; have it look beside this file, not on another host.
requirejs.config({
  baseUrl: new URL(".", document.currentScript.src).href,
  waitSeconds: 30,
});
// html-manager typesets through the interface of MathJax 2; this page has MathJax 3.
window.MathJax = window.MathJax || {};
window.MathJax.Hub = window.MathJax.Hub || {
  Queue: (...calls) => {
    for (const call of calls) {
      if (Array.isArray(call) && call[0] === "Typeset" && window.MathJax.typesetPromise) {
        window.MathJax.typesetPromise([call[2]]);
      }
    }
  },
};
