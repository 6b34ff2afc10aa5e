// The Explore page in Gradio: the js_on_load of a gr.HTML calls this with its element. wish(): triggers its event of that name, which takes the controls' values from the page.
function mountGradio(element, setup, wish) {
  window.explore = mountExplore(element, setup, wish);
}
