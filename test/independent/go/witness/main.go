// A log that is made of Go's own tlog and note asks agentgate's witness about its checkpoints, and reads the cosignatures with
// transparency-dev's code.
package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// witness <skey of the log> <url of the witness> <vkey of the witness>
func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// hashes is the tree's storage in memory, as tlog orders it.
type hashes []tlog.Hash

func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, i := range indexes {
		out = append(out, h[i])
	}
	return out, nil
}

func run(skey, url, vkey string) error {
	signer, err := note.NewSigner(skey)
	if err != nil {
		return err
	}
	witness, err := fnote.NewVerifierForCosignatureV1(vkey)
	if err != nil {
		return err
	}
	var tree hashes
	grow := func(from, to int64) error {
		for n := from; n < to; n++ {
			more, err := tlog.StoredHashes(n, []byte(fmt.Sprintf("entry %d", n)), tree)
			if err != nil {
				return err
			}
			tree = append(tree, more...)
		}
		return nil
	}
	sizes := []int64{1, 2, 7, 8, 255, 256, 257, 1000}
	old := int64(0)
	for _, size := range sizes {
		if err := grow(old, size); err != nil {
			return err
		}
		root, err := tlog.TreeHash(size, tree)
		if err != nil {
			return err
		}
		proof := tlog.TreeProof{}
		if old > 0 {
			if proof, err = tlog.ProveTree(size, old, tree); err != nil {
				return err
			}
		}
		text := fmt.Sprintf("%s\n%d\n%s\n", signer.Name(), size, base64.StdEncoding.EncodeToString(root[:]))
		signed, err := note.Sign(&note.Note{Text: text}, signer)
		if err != nil {
			return err
		}
		status, answer, err := post(url, old, proof, signed)
		if err != nil || status != 200 {
			return fmt.Errorf("size %d: %d %s %v", size, status, answer, err)
		}
		opened, err := note.Open(append(signed, answer...), note.VerifierList(witness))
		if err != nil {
			return fmt.Errorf("size %d: %w", size, err)
		}
		if len(opened.Sigs) != 1 || opened.Text != text {
			return fmt.Errorf("size %d: %d signatures verified", size, len(opened.Sigs))
		}
		// The same again from where the witness is not any more.
		status, answer, err = post(url, old, proof, signed)
		if err != nil || status != 409 || string(answer) != fmt.Sprintf("%d\n", size) {
			return fmt.Errorf("size %d again: %d %q %v", size, status, answer, err)
		}
		old = size
	}
	fmt.Printf("%d checkpoints cosigned\n", len(sizes))
	return nil
}

func post(url string, old int64, proof tlog.TreeProof, signed []byte) (int, []byte, error) {
	var body strings.Builder
	fmt.Fprintf(&body, "old %d\n", old)
	for _, h := range proof {
		fmt.Fprintln(&body, base64.StdEncoding.EncodeToString(h[:]))
	}
	body.WriteString("\n")
	body.Write(signed)
	res, err := http.Post(url+"/add-checkpoint", "", bytes.NewReader([]byte(body.String())))
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	return res.StatusCode, answer, err
}
