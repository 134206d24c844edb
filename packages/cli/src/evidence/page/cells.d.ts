export interface Cells {
  index: string;
  time: string;
  type: string;
  who: string;
  about: string;
  outcome: string;
  data: string;
}
export declare const escaped: (text: string) => string;
export declare const rowsOf: (index: number, event: object) => string;
export declare const cellsOf: (index: number, event: object) => Cells;
