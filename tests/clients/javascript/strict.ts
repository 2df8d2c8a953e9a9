// The client's model types allow any further property, and with that any type of those they name.
// These are the same types without that, to hold an answer against.
export type Strict<T> = T extends (infer Item)[]
  ? Strict<Item>[]
  : T extends Record<string, any> & infer Named
    ? { [Name in keyof Named]: Strict<Named[Name]> }
    : T;
