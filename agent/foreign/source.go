package foreign

import (
	"archive/zip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/internal/fault"
)

// Source is where files come from: a folder, a ZIP archive, or a single file. Nothing is unpacked to a disk. It is for one
// goroutine.
type Source struct {
	files   []file
	refused []Item // what is not read at all
	names   map[string]bool
	left    int64 // bytes that may still be read
	close   func() error
}

// file is one file of a source.
type file struct {
	name string // with slashes, as the password list has it
	open func() (io.ReadCloser, error)
}

// Open finds out what there is at a path. Close it.
func Open(at string) (*Source, error) {
	info, err := os.Stat(at)
	if err != nil {
		return nil, ErrSource.Withf("%s cannot be read.", at).Because(err)
	}
	s := &Source{names: map[string]bool{}, left: MaxTotal, close: func() error { return nil }}
	switch {
	case info.IsDir():
		err = s.readFolder(at)
	case !info.Mode().IsRegular():
		return nil, ErrSource.Withf("%s is neither a folder nor a file.", at)
	case isZIP(at):
		err = s.readZIP(at, info.Size())
	default:
		s.files = []file{{path.Base(strings.ReplaceAll(at, "\\", "/")), func() (io.ReadCloser, error) { return os.Open(at) }}}
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	slices.SortFunc(s.files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return s, nil
}

// Close closes the source.
func (s *Source) Close() error { return s.close() }

// Files returns how many files there are to read.
func (s *Source) Files() int { return len(s.files) }

// add takes a file into the list, or into the report if its name or kind is not to be read.
func (s *Source) add(f file, mode fs.FileMode) error {
	if len(s.files)+len(s.refused) == MaxFiles {
		return ErrSource.Withf("There are more than %d files. Import them in parts.", MaxFiles)
	}
	var why *fault.Error
	switch {
	case !fs.ValidPath(f.name) || strings.ContainsAny(f.name, "\\\x00"):
		why = ErrFile.Withf("This name leads out of where it is, or is none. The file was not read.")
	case strings.Count(f.name, "/") > MaxDepth:
		why = ErrFile.Withf("The file lies more than %d folders deep. It was not read.", MaxDepth)
	case mode&fs.ModeSymlink != 0:
		why = ErrFile.Withf("This is a link. Links are not followed.")
	case !mode.IsRegular():
		why = ErrFile.Withf("This is no ordinary file.")
	case s.names[f.name]:
		why = ErrFile.Withf("There is another file of this name in the archive. Only the first is read.")
	default:
		s.files, s.names[f.name] = append(s.files, f), true
		return nil
	}
	s.refused = append(s.refused, refusedItem(f.name, why))
	return nil
}

func (s *Source) readFolder(at string) error {
	root, err := os.OpenRoot(at) // nothing outside is opened, whatever links appear while we read
	if err != nil {
		return ErrSource.Withf("The folder %s cannot be read.", at).Because(err)
	}
	s.close = root.Close
	return fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return ErrSource.Withf("%s in the folder cannot be read.", name).Because(err)
		case d.IsDir() && strings.Count(name, "/") > MaxDepth:
			s.refused = append(s.refused, refusedItem(name, ErrFile.Withf("The folder lies more than %d folders deep. It was not read.", MaxDepth)))
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		return s.add(file{name, func() (io.ReadCloser, error) { return root.Open(name) }}, d.Type())
	})
}

// isZIP reports whether a file begins as a ZIP archive does, an empty one included.
func isZIP(at string) bool {
	f, err := os.Open(at)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 4)
	_, err = io.ReadFull(f, head)
	return err == nil && (string(head) == "PK\x03\x04" || string(head) == "PK\x05\x06")
}

func (s *Source) readZIP(at string, size int64) error {
	if size > MaxZIP {
		return ErrSource.Withf("%s has %d bytes; at most %d are read. Import it in parts.", at, size, int64(MaxZIP))
	}
	z, err := zip.OpenReader(at)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // such names are refused below
		return ErrSource.Withf("%s is no ZIP archive that can be read.", at).Because(err)
	}
	s.close = z.Close
	for _, e := range z.File {
		if strings.HasSuffix(e.Name, "/") {
			continue
		}
		if e.Flags&1 != 0 {
			s.refused = append(s.refused, refusedItem(e.Name, ErrFile.Withf("The archive has encrypted this file. Unpack it, and import the folder.")))
			continue
		}
		if err := s.add(file{e.Name, e.Open}, e.Mode()); err != nil {
			return err
		}
	}
	return nil
}

// read returns a file's content. What the directory of an archive says of its size is not believed.
func (s *Source) read(f file) ([]byte, error) {
	tooMuch := ErrTooLarge.Withf("The files have more than %d bytes together. Import them in parts.", int64(MaxTotal))
	if s.left < 0 {
		return nil, tooMuch
	}
	r, err := f.open()
	if err != nil {
		return nil, ErrFile.Because(err)
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, MaxFile+1))
	s.left -= int64(len(b))
	switch {
	case err != nil:
		return nil, ErrFile.Withf("The file cannot be read to its end.").Because(err)
	case len(b) > MaxFile:
		return nil, ErrTooLarge.Withf("The file is larger than %d bytes. Keys are not that large.", MaxFile)
	case s.left < 0:
		return nil, tooMuch
	}
	return b, nil
}
