import { createCurve } from '@nats-io/nkeys';

/** An X25519 key pair (a NATS curve nkey): `seal` makes a box that only the holder of the other key opens, and that proves who made it. */
export interface CurveKey {
  /** `X…`, may be told to anybody. */
  publicKey: string;
  seal(data: Uint8Array, recipient: string): Uint8Array;
  /** Throws where the box was not made by `sender` for this key. */
  open(box: Uint8Array, sender: string): Uint8Array;
}

export const createCurveKey = (): CurveKey => {
  const pair = createCurve();
  return {
    publicKey: pair.getPublicKey(),
    seal: (data, recipient) => pair.seal(data, recipient),
    open: (box, sender) => {
      const opened = pair.open(box, sender);
      if (!opened) throw new Error('the box cannot be opened');
      return opened;
    },
  };
};
