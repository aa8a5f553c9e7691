package list

import (
	"errors"
	"io"
)

// Reader reads a list's pieces as one file. It is an io.ReadSeeker and io.WriterTo, for one reader at a time.
type Reader struct {
	parts [][]byte
	size  int64
	at    int64
	part  int   // the piece that at lies in
	start int64 // where that piece begins
}

// Open returns a reader of the list from its first byte. Any number may be open.
func (l *List) Open() *Reader { return &Reader{parts: l.Parts, size: l.Size} }

// Bytes returns the list in one piece.
func (l *List) Bytes() []byte {
	b := make([]byte, 0, l.Size)
	for _, p := range l.Parts {
		b = append(b, p...)
	}
	return b
}

// Read implements io.Reader.
func (r *Reader) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	rest := r.rest()
	if len(rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, rest)
	r.at += int64(n)
	return n, nil
}

// rest returns what is left of the present piece, or nil at the end.
func (r *Reader) rest() []byte {
	for r.part < len(r.parts) {
		p := r.parts[r.part]
		if r.at < r.start+int64(len(p)) {
			return p[r.at-r.start:]
		}
		r.start += int64(len(p))
		r.part++
	}
	return nil
}

// WriteTo implements io.WriterTo.
func (r *Reader) WriteTo(w io.Writer) (n int64, err error) {
	for rest := r.rest(); len(rest) > 0; rest = r.rest() {
		written, err := w.Write(rest)
		n, r.at = n+int64(written), r.at+int64(written)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Seek implements io.Seeker.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning")
	}
	if offset < r.start {
		r.part, r.start = 0, 0
	}
	r.at = offset
	return offset, nil
}
