package point

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/sealpost/sealpost/crl/list"
)

// FolderConfig says where a folder is and whom its files belong to: a web server's, or one on a share.
type FolderConfig struct {
	// Path of the folder. It must exist, and be a folder itself, no symbolic link to one.
	Path string `yaml:"path"`
	// Owner of the files, by name or number; empty means Sealpost's own. Another owner takes root's rights, another
	// group membership in it.
	Owner string `yaml:"owner"`
	// Group of the files, likewise.
	Group string `yaml:"group"`
	// Mode of the files, octal; empty means 0644, which the web server can read.
	Mode string `yaml:"mode"`

	Now func() time.Time `yaml:"-"` // nil means time.Now
}

// Folder is a folder of files. Writers of this machine keep each other out with a lock on the folder, where its file
// system knows such locks.
type Folder struct {
	path     string
	uid, gid int // -1: as they come
	mode     fs.FileMode
	now      func() time.Time
	busy     chan struct{} // one writer of ours at a time
}

// NewFolder checks c. The folder itself is looked at when something is put there.
func NewFolder(c FolderConfig) (*Folder, error) {
	f := &Folder{path: filepath.Clean(c.Path), uid: -1, gid: -1, mode: 0o644, now: c.Now, busy: make(chan struct{}, 1)}
	if f.now == nil {
		f.now = time.Now
	}
	var errs []error
	if !filepath.IsAbs(c.Path) {
		errs = append(errs, errors.New("path: must be absolute"))
	}
	if c.Mode != "" {
		n, err := strconv.ParseUint(c.Mode, 8, 32)
		if err != nil || n > 0o777 || n&0o400 == 0 {
			errs = append(errs, fmt.Errorf("mode: %q is not an octal mode between 0400 and 0777 with which the owner can read", c.Mode))
		}
		f.mode = fs.FileMode(n)
	}
	var err error
	if c.Owner != "" {
		if f.uid, err = number(c.Owner, func(name string) (string, error) {
			u, err := user.Lookup(name)
			if err != nil {
				return "", err
			}
			return u.Uid, nil
		}); err != nil {
			errs = append(errs, fmt.Errorf("owner: this machine knows no user %q", c.Owner))
		}
	}
	if c.Group != "" {
		if f.gid, err = number(c.Group, func(name string) (string, error) {
			g, err := user.LookupGroup(name)
			if err != nil {
				return "", err
			}
			return g.Gid, nil
		}); err != nil {
			errs = append(errs, fmt.Errorf("group: this machine knows no group %q", c.Group))
		}
	}
	return f, errors.Join(errs...)
}

// number returns an id that is given as such or by its name.
func number(s string, lookup func(string) (string, error)) (int, error) {
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return int(n), nil
	}
	id, err := lookup(s)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(id)
}

// Put implements Point: it writes beside the file, syncs, renames and syncs the folder.
//
// A share that hangs cannot be made to give up. Put then returns when ctx ends, and what it began keeps the folder until it
// is through: a later Put waits for that, so that nothing older comes after it.
func (p *Folder) Put(ctx context.Context, f File) error {
	if err := f.check(); err != nil {
		return err
	}
	select {
	case p.busy <- struct{}{}:
	case <-ctx.Done():
		return p.hangs(ctx)
	}
	done := make(chan error, 1)
	go func() {
		defer func() { <-p.busy }()
		done <- p.put(ctx, f)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		select { // give what is nearly through a moment: it notices, too, that nobody waits
		case err := <-done:
			return err
		case <-time.After(100 * time.Millisecond):
			return p.hangs(ctx)
		}
	}
}

func (p *Folder) hangs(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return ErrUnreachable.Withf("The folder %s does not answer, or another process keeps it locked.", p.path).Because(context.Cause(ctx))
}

func (p *Folder) put(ctx context.Context, f File) error {
	root, err := p.open()
	if err != nil {
		return err
	}
	defer root.Close()
	dir, err := root.Open(".")
	if err != nil {
		return p.failed(err)
	}
	defer dir.Close() // and with it the lock
	if err := p.lock(ctx, dir); err != nil {
		return err
	}
	p.clean(root, dir)
	if err := p.compare(root, f); err != nil {
		if errors.Is(err, list.ErrSame) {
			return nil
		}
		return err
	}
	return p.replace(ctx, root, dir, f)
}

// open opens the folder, so that all that follows is in it whatever its name leads to by then.
func (p *Folder) open() (*os.Root, error) {
	info, err := os.Lstat(p.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrRefused.Withf("There is no folder %s. An operator must create it, or mount what belongs there.", p.path).Because(err)
	case err != nil:
		return nil, p.failed(err)
	case info.Mode()&fs.ModeSymlink != 0:
		return nil, ErrRefused.Withf("%s is a symbolic link. Configure the folder that it leads to.", p.path)
	case !info.IsDir():
		return nil, ErrRefused.Withf("%s is not a folder.", p.path)
	}
	root, err := os.OpenRoot(p.path)
	if err != nil {
		return nil, p.failed(err)
	}
	return root, nil
}

// lock keeps other processes of this machine out until dir is closed. File systems without such locks are left to the
// caller's lock.
func (p *Folder) lock(ctx context.Context, dir *os.File) error {
	for {
		err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return ctx.Err() // nil, with or without a lock
		}
		select {
		case <-ctx.Done():
			return p.hangs(ctx)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// clean removes what writers that were killed left behind. What cannot be removed is tried again by the next Put.
func (p *Folder) clean(root *os.Root, dir *os.File) {
	for {
		entries, err := dir.ReadDir(1000)
		for _, e := range entries {
			if e.Type().IsRegular() && abandoned(e.Name(), p.now()) {
				_ = root.Remove(e.Name())
			}
		}
		if err != nil { // io.EOF mostly; a folder that cannot be read shows that soon enough
			return
		}
	}
}

// compare judges what is there.
func (p *Folder) compare(root *os.Root, f File) error {
	in, err := p.read(root, f.Name)
	if errors.Is(err, ErrAbsent) {
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close()
	if err := f.judge(in); err != nil {
		var bad *fs.PathError
		if errors.As(err, &bad) {
			return p.failed(err)
		}
		return err
	}
	return nil
}

func (p *Folder) read(root *os.Root, name string) (*os.File, error) {
	info, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrAbsent.Withf("There is no %s in %s.", name, p.path)
	}
	if err == nil && !info.Mode().IsRegular() {
		return nil, ErrRefused.Withf("%s is in the way: it is not a file.", filepath.Join(p.path, name))
	}
	if err != nil {
		return nil, p.failed(err)
	}
	in, err := root.Open(name)
	if err != nil {
		return nil, p.failed(err)
	}
	return in, nil
}

// replace writes the file beside and puts it in its place.
func (p *Folder) replace(ctx context.Context, root *os.Root, dir *os.File, f File) error {
	name := "." + temporary(p.now())
	out, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return p.failed(err)
	}
	err = p.write(ctx, out, f)
	if err = errors.Join(err, out.Close()); err == nil {
		err = ctx.Err() // nobody waits any more: a newer one may be on its way
	}
	if err == nil {
		err = root.Rename(name, f.Name)
	}
	if err != nil {
		_ = root.Remove(name) // or a later Put does
		return p.failed(err)
	}
	// Some file systems of shares cannot sync a folder.
	if err := dir.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return p.failed(err)
	}
	return nil
}

func (p *Folder) write(ctx context.Context, out *os.File, f File) error {
	if _, err := io.Copy(out, &lively{f.reader(), ctx}); err != nil {
		return err
	}
	if p.uid >= 0 || p.gid >= 0 {
		if err := out.Chown(p.uid, p.gid); err != nil {
			return ErrRefused.Withf("Sealpost may not give files in %s to the configured owner or group: another owner takes root's rights (CAP_CHOWN), "+
				"another group membership in it.", p.path).Because(err)
		}
	}
	if err := out.Chmod(p.mode); err != nil {
		return err
	}
	return out.Sync()
}

// lively ends a copy with its context.
type lively struct {
	io.Reader
	ctx context.Context
}

func (l *lively) Read(b []byte) (int, error) {
	if err := l.ctx.Err(); err != nil {
		return 0, err
	}
	return l.Reader.Read(b)
}

// failed says what the system's error means for an operator.
func (p *Folder) failed(err error) error {
	switch {
	case errors.Is(err, ErrFile), errors.Is(err, ErrRefused), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return ErrUnreachable.Withf("Writing to the folder %s took too long.", p.path).Because(err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return ErrFull.Withf("There is no room left in %s: the disk, a quota or a limit is used up.", p.path).Because(err)
	case errors.Is(err, fs.ErrPermission):
		return ErrRefused.Withf("Sealpost may not read and write in the folder %s.", p.path).Because(err)
	case errors.Is(err, syscall.EROFS):
		return ErrRefused.Withf("The folder %s is on a file system that is read-only.", p.path).Because(err)
	}
	return ErrUnreachable.Withf("The folder %s cannot be read or written.", p.path).Because(err)
}

// Get implements Point.
func (p *Folder) Get(_ context.Context, f File) (io.ReadCloser, error) {
	if err := f.checkName(); err != nil {
		return nil, err
	}
	root, err := p.open()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	in, err := p.read(root, f.Name)
	if err != nil {
		return nil, err // not a nil *os.File in an interface
	}
	return in, nil
}
