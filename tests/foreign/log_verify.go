// Checks a published log with packages that are not ours (golang.org/x/mod/sumdb): the signature of the
// checkpoint, every leaf against the tree, and that smaller trees are the beginning of it.
//
//	log_verify URL-OF-THE-LOG PUBLIC-KEY
//
// Exit status 1 when anything does not hold.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

var base string

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "log_verify:", err)
		os.Exit(1)
	}
}

func get(path string) ([]byte, error) {
	res, err := http.Get(base + path)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != 200 {
		err = fmt.Errorf("%s: status %d", path, res.StatusCode)
	}
	return body, err
}

// The paths of these packages name the height of tiles, those of tlog-tiles do not.
func path(t tlog.Tile) string {
	return "/" + strings.Replace(t.Path(), "tile/"+strconv.Itoa(height)+"/", "tile/", 1)
}

type tiles struct{}

func (tiles) Height() int { return height }

func (tiles) ReadTiles(list []tlog.Tile) (data [][]byte, err error) {
	for _, t := range list {
		one, err := get(path(t))
		if err != nil {
			return nil, err
		}
		data = append(data, one)
	}
	return data, nil
}

func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// The leaf texts of one bundle, each after its length in two bytes.
func bundle(n int64, width int) (leaves [][]byte, err error) {
	t := tlog.Tile{H: height, L: -1, N: n, W: width}
	body, err := get(strings.Replace(path(t), "tile/data/", "tile/entries/", 1))
	for err == nil && len(body) > 0 {
		if len(body) < 2 || len(body) < 2+(int(body[0])<<8|int(body[1])) {
			return nil, fmt.Errorf("bundle %d is cut off", n)
		}
		size := int(body[0])<<8 | int(body[1])
		leaves = append(leaves, body[2:2+size])
		body = body[2+size:]
	}
	return leaves, err
}

func main() {
	base = os.Args[1]
	verifier, err := note.NewVerifier(os.Args[2])
	fail(err)
	signed, err := get("/checkpoint")
	fail(err)
	opened, err := note.Open(signed, note.VerifierList(verifier))
	fail(err)
	lines := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	fail(err)
	var root tlog.Hash
	fail(root.UnmarshalJSON([]byte(`"` + lines[2] + `"`)))
	tree := tlog.Tree{N: size, Hash: root}
	reader := tlog.TileHashReader(tree, tiles{})
	for n := int64(0); n*256 < size; n++ {
		width := 256
		if size-n*256 < 256 {
			width = int(size - n*256)
		}
		leaves, err := bundle(n, width)
		fail(err)
		if len(leaves) != width {
			fail(fmt.Errorf("bundle %d has %d leaves", n, len(leaves)))
		}
		indexes := make([]int64, width)
		for i := range indexes {
			indexes[i] = tlog.StoredHashIndex(0, n*256+int64(i))
		}
		hashes, err := reader.ReadHashes(indexes)
		fail(err)
		for i, leaf := range leaves {
			if tlog.RecordHash(leaf) != hashes[i] {
				fail(fmt.Errorf("leaf %d is not the one in the tree", n*256+int64(i)))
			}
		}
	}
	for from := int64(1); from < size; from = from*3 + 1 {
		old, err := tlog.TreeHash(from, reader)
		fail(err)
		proof, err := tlog.ProveTree(size, from, reader)
		fail(err)
		fail(tlog.CheckTree(proof, size, root, from, old))
	}
	fmt.Printf("# %d leaves hold\n", size)
}
