// Checks a log that agentgate's packages/evidence wrote with code that its authors did not write: the Go checksum
// database's notes, tiles and proofs, and the checkpoints and cosignatures of transparency-dev.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// cases is what the log's writer claims. Byte arrays are base64 in JSON.
type cases struct {
	Origin, LogVkey, WitnessVkey string
	Inclusion                    []struct {
		Index, Size int64
		Root, Leaf  []byte
		Path        [][]byte
	}
	Consistency []struct {
		OldSize, Size int64
		OldRoot, Root []byte
		Proof         [][]byte
	}
}

// folder reads the tiles of C2SP tlog-tiles, whose paths leave out the height that tlog's have.
type folder string

func (folder) Height() int                     { return 8 }
func (folder) SaveTiles([]tlog.Tile, [][]byte) {}
func (dir folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		path := "tile/" + strings.TrimPrefix(tile.Path(), "tile/8/")
		data, err := os.ReadFile(filepath.Join(string(dir), path))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func main() {
	if err := check(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func check(dir string) error {
	var claims cases
	data, err := os.ReadFile(filepath.Join(dir, "cases.json"))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &claims); err != nil {
		return err
	}
	tree, err := openCheckpoint(dir, claims)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	// One leaf of each tile of level 0: every tile is authenticated whole against the checkpoint's root on the way.
	reader := tlog.TileHashReader(tree, folder(dir))
	for index := int64(0); index < tree.N; index += 256 {
		if _, err := tlog.ProveRecord(tree.N, index, reader); err != nil {
			return fmt.Errorf("tiles of leaf %d: %w", index, err)
		}
	}
	for _, c := range claims.Inclusion {
		if err := tlog.CheckRecord(hashes(c.Path), c.Size, hash(c.Root), c.Index, hash(c.Leaf)); err != nil {
			return fmt.Errorf("inclusion of %d in %d: %w", c.Index, c.Size, err)
		}
	}
	for _, c := range claims.Consistency {
		if err := tlog.CheckTree(hashes(c.Proof), c.Size, hash(c.Root), c.OldSize, hash(c.OldRoot)); err != nil {
			return fmt.Errorf("consistency of %d with %d: %w", c.OldSize, c.Size, err)
		}
	}
	fmt.Printf("%d leaves, %d inclusion proofs, %d consistency proofs\n", tree.N, len(claims.Inclusion), len(claims.Consistency))
	return nil
}

func openCheckpoint(dir string, claims cases) (tlog.Tree, error) {
	signed, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return tlog.Tree{}, err
	}
	logKey, err := note.NewVerifier(claims.LogVkey)
	if err != nil {
		return tlog.Tree{}, err
	}
	var witnesses []note.Verifier
	if claims.WitnessVkey != "" {
		witness, err := fnote.NewVerifierForCosignatureV1(claims.WitnessVkey)
		if err != nil {
			return tlog.Tree{}, err
		}
		witnesses = append(witnesses, witness)
	}
	checkpoint, rest, opened, err := log.ParseCheckpoint(signed, claims.Origin, logKey, witnesses...)
	if err != nil {
		return tlog.Tree{}, err
	}
	if len(rest) != 0 || len(opened.Sigs) != 1+len(witnesses) {
		return tlog.Tree{}, fmt.Errorf("%d signatures verified and %q is left over", len(opened.Sigs), rest)
	}
	return tlog.Tree{N: int64(checkpoint.Size), Hash: hash(checkpoint.Hash)}, nil
}

func hash(data []byte) (h tlog.Hash) {
	if copy(h[:], data) != len(h) || len(data) != len(h) {
		panic("a hash is not of 32 bytes")
	}
	return h
}

func hashes(all [][]byte) []tlog.Hash {
	out := []tlog.Hash{}
	for _, each := range all {
		out = append(out, hash(each))
	}
	return out
}
