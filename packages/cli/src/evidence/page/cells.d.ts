export interface Cells {
  index: string;
  time: string;
  type: string;
  who: string;
  about: string;
  outcome: string;
  data: string;
}
export declare const cellsOf: (index: number, event: object) => Cells;
