const maxLength = 8192;
/** A JWT begins with `{"`, which no path does that is made of our names: theirs has three parts, too, as in `acme.agent-demo.token`. */
const form = /^eyJ[\w-]+\.[\w-]+\.[\w-]+$/;

/** The bearer token that a text is, without the blanks around it; undefined where it is something else. Says nothing about who signed it. */
export const bearerIn = (text: string): string | undefined => {
  if (text.length > maxLength) return undefined;
  const token = text.trim();
  return form.test(token) ? token : undefined;
};
