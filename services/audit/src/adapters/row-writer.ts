import type { DatabaseSync, SQLInputValue } from 'node:sqlite';

/** Half of what a statement costs is being called. */
const rowsATime = 32;

/** Writes rows many at a time. `sql` is a statement in which `rows` stands for one row or more, as `(?,?),(?,?)`. */
export interface RowWriter {
  add(...row: SQLInputValue[]): void;
  /** Writes what waits for more rows: whoever reads what was added needs it written. */
  write(): void;
  /** Forgets what was not written. */
  clear(): void;
}

/** `row` says how a value that is bound becomes a column's, where that is not as it is. */
export const createRowWriter = (
  db: DatabaseSync,
  columns: number,
  sql: (rows: string) => string,
  row = `(${Array(columns).fill('?').join()})`,
): RowWriter => {
  const one = db.prepare(sql(row));
  const many = db.prepare(sql(Array(rowsATime).fill(row).join()));
  let values: SQLInputValue[] = [];
  const take = () => {
    const taken = values;
    values = [];
    return taken;
  };
  return {
    add: (...added) => {
      values.push(...added);
      if (values.length === columns * rowsATime) many.run(...take());
    },
    write: () => {
      const rest = take();
      for (let at = 0; at < rest.length; at += columns) one.run(...rest.slice(at, at + columns));
    },
    clear: () => void take(),
  };
};
