package delivery

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"os"

	"github.com/sealpost/sealpost/internal/disk"
)

// AppendFrame appends one frame.
func AppendFrame(to, object []byte) []byte {
	to = binary.BigEndian.AppendUint32(to, uint32(len(object)))
	return append(to, object...)
}

// Frames reads the whole frames of a stream, each of at most so many bytes. It ends quietly where the stream is cut off.
// The bytes are the caller's.
func Frames(r io.Reader, most int) iter.Seq2[[]byte, error] {
	in := bufio.NewReaderSize(r, 1<<16)
	return func(yield func([]byte, error) bool) {
		for {
			var head [4]byte
			_, err := io.ReadFull(in, head[:])
			n := binary.BigEndian.Uint32(head[:])
			if err == nil && uint64(n) > uint64(most) {
				yield(nil, ErrFolder.Withf("A frame of %d bytes is larger than anything that belongs here.", n))
				return
			}
			var object []byte
			if err == nil {
				object = make([]byte, n)
				_, err = io.ReadFull(in, object)
			}
			switch {
			case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
				return
			case err != nil:
				yield(nil, disk.ErrDisk.Because(err))
				return
			case !yield(object, nil):
				return
			}
		}
	}
}

// FramesOf reads the frames of a file, and parses each. A file that is not there has none. Faults name the file.
func FramesOf[T any](path string, most int, parse func([]byte) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		f, err := disk.Open(path)
		if err != nil {
			yield(none, err)
			return
		}
		if f == nil {
			return
		}
		defer f.Close()
		for b, err := range Frames(f, most) {
			var v T
			if err == nil {
				v, err = parse(b)
			}
			if !yield(v, inFile(path, err)) || err != nil {
				return
			}
		}
	}
}

// AppendFrames adds frames to a file that may have been cut off: what is left of a frame at its end is removed first. No frame
// has more bytes than most. It returns once they are on the disk.
func AppendFrames(path string, objects [][]byte, most int) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return disk.Cannot(err, "%s cannot be written.", path)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil && !errors.Is(err, ErrFolder) {
			err = disk.Cannot(err, "%s cannot be written.", path)
		}
	}()
	end := int64(0)
	for b, err := range Frames(f, most) {
		if err != nil {
			return inFile(path, err)
		}
		end += 4 + int64(len(b))
	}
	if err := f.Truncate(end); err != nil {
		return err
	}
	var out []byte
	for _, o := range objects {
		out = AppendFrame(out, o)
	}
	if _, err := f.WriteAt(out, end); err != nil {
		return err
	}
	return f.Sync()
}
