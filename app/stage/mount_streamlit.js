// A lesson's stages in Streamlit, whose components.v2 calls this at each rerun: mounted once, and told anew only what has changed.

const mountedLessons = new WeakMap(); // by the element that Streamlit gives, which outlives reruns

function mountStreamlit({ data, parentElement, setStateValue }) {
  let lesson = mountedLessons.get(parentElement);
  if (!lesson) {
    const dark = () => luminance(getComputedStyle(parentElement).getPropertyValue("--st-background-color")) < 0.5;
    const place = make("div"); // beside the style that Streamlit keeps in its element
    parentElement.append(place);
    lesson = mountLesson(place, JSON.parse(data.setup), { dark, said: (measured) => setStateValue("measured", measured) });
    mountedLessons.set(parentElement, lesson);
  }
  const key = JSON.stringify([data.shown, data.sliders]);
  if (lesson.key !== key) {
    lesson.key = key;
    lesson.show(data.shown, data.sliders);
  }
  return () => {
    if (parentElement.isConnected) return; // a rerun, not an end
    lesson.end();
    mountedLessons.delete(parentElement);
  };
}

// How light a colour "#rrggbb" is, from 0 to 1; other notations count as light.
function luminance(colour) {
  if (!/^#[0-9a-f]{6}$/i.test(colour.trim())) return 1;
  const [r, g, b] = rgbOf(colour.trim());
  return (0.299 * r + 0.587 * g + 0.114 * b) / 255;
}
