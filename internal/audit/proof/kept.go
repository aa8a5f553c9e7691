package proof

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
)

// Checkpoints are kept outside the database in two forms, which ReadKept both reads: whole notes one after another, each
// followed by an empty line, in a file; and one line each, in a system log.
const (
	torn       = "(torn)"            // ends what a crash left half written, so that it is not taken for a note
	lineMarker = "audit-checkpoint " // begins the line form
	maxLine    = MaxNote * 2
)

// KeptBlock returns the form for a file of a signed checkpoint. If the file does not end with an empty line, because a
// crash tore what was written last, tear is true.
func KeptBlock(checkpoint []byte, tear bool) []byte {
	var b bytes.Buffer
	if tear {
		b.WriteString("\n" + torn + "\n\n")
	}
	b.Write(checkpoint)
	b.WriteByte('\n')
	return b.Bytes()
}

// KeptLine returns the form for a system log of a signed checkpoint, without a newline.
func KeptLine(checkpoint []byte) string {
	size := "?"
	if lines := bytes.SplitN(checkpoint, []byte("\n"), 3); len(lines) == 3 {
		size = string(lines[1])
	}
	return fmt.Sprintf("%ssize=%s note=%s", lineMarker, size, base64.StdEncoding.EncodeToString(checkpoint))
}

// ReadKept returns the signed checkpoints in what sinks have written: a file of notes, or a system log with other lines
// around. It checks no signature. What is no note is passed over.
func ReadKept(r io.Reader) ([][]byte, error) {
	k := keptReader{seen: map[string]bool{}}
	br := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := br.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		for errors.Is(err, bufio.ErrBufferFull) { // no line of ours is so long
			_, err = br.ReadSlice('\n')
		}
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("read kept checkpoints: %w", err)
		}
		switch {
		case long:
			k.reset()
		case err == nil || len(line) > 0:
			k.line(line)
		}
		if err == io.EOF {
			k.blank()
			return k.notes, nil
		}
	}
}

// keptReader puts notes together from lines: a block of text, an empty line, a block of signatures, an empty line.
type keptReader struct {
	notes [][]byte
	seen  map[string]bool
	text  []byte // the block before the present one
	block []byte
}

func (k *keptReader) line(line []byte) {
	if trimmed := bytes.TrimRight(line, "\r\n"); len(trimmed) == 0 {
		k.blank()
	} else if i := bytes.Index(trimmed, []byte(lineMarker)); i >= 0 {
		k.marked(trimmed[i:])
		k.reset()
	} else if k.block = append(append(k.block, trimmed...), '\n'); len(k.block) > MaxNote {
		k.reset()
	}
}

func (k *keptReader) reset() { k.text, k.block = nil, nil }

func (k *keptReader) blank() {
	block := k.block
	k.block = nil
	if !bytes.HasPrefix(block, []byte("— ")) {
		k.text = block
		return
	}
	if len(k.text) > 0 && !bytes.HasSuffix(block, []byte("\n"+torn+"\n")) {
		k.add(bytes.Join([][]byte{k.text, block}, []byte("\n")))
	}
	k.text = nil
}

func (k *keptReader) marked(line []byte) {
	_, b64, ok := bytes.Cut(line, []byte(" note="))
	if !ok {
		return
	}
	b64, _, _ = bytes.Cut(b64, []byte(" "))
	msg := make([]byte, base64.StdEncoding.DecodedLen(len(b64)))
	if n, err := base64.StdEncoding.Decode(msg, b64); err == nil {
		k.add(msg[:n])
	}
}

func (k *keptReader) add(msg []byte) {
	if len(msg) > MaxNote || k.seen[string(msg)] {
		return
	}
	k.seen[string(msg)] = true
	k.notes = append(k.notes, msg)
}
