/** Expressions that the page of the dashboard evaluates, by which tests read and use it. */

/** Expression for the words of a chart, which readers of screens get. */
export function chart(metric: string): string {
  return `document.querySelector('[data-metric="${metric}"] .plot')?.ariaLabel`;
}

/** Expression for the text of all elements that a selector finds. */
export function texts(selector: string): string {
  return `[...document.querySelectorAll(${JSON.stringify(selector)})].map((one) => one.innerText)`;
}

/** Expression that writes a value into a field, and tells of that. */
export function written(selector: string, value: string, event: 'input' | 'change'): string {
  return `(() => {
    const field = document.querySelector(${JSON.stringify(selector)});
    field.value = ${JSON.stringify(value)};
    field.dispatchEvent(new Event('${event}'));
  })()`;
}

/** Expression for a click on the first button with these words. */
export function click(words: string): string {
  return `[...document.querySelectorAll('button')].find((one) => one.innerText === ${JSON.stringify(words)} && one.checkVisibility()).click()`;
}

/**
 * Expression for the texts whose contrast with what is behind them is less than 4.5, by the formula of WCAG 2.2; 3 for
 * large ones. Controls that are off are exempt.
 */
export const faintTexts = `(() => {
  const canvas = Object.assign(document.createElement('canvas'), { width: 1, height: 1 });
  const pen = canvas.getContext('2d', { willReadFrequently: true });
  const parse = (colour) => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = colour;
    pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data];
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((byte) => {
      const c = byte / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at !== null; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = new Set();
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (walker.currentNode.data.trim() === '' || !element.checkVisibility()) continue;
    if (element.closest(':disabled, .hidden, .skip, script, noscript')) continue;
    const { color, fontSize } = getComputedStyle(element);
    const [a, b] = [luminance(parse(color).slice(0, 3)), luminance(behind(element).slice(0, 3))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < (parseFloat(fontSize) >= 24 ? 3 : 4.5)) {
      found.add(element.className + ' ' + contrast.toFixed(2) + ' ' + walker.currentNode.data.slice(0, 20));
    }
  }
  return [...found];
})()`;
