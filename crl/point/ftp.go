package point

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/crl/ftp"
	"github.com/sealpost/sealpost/crl/list"
	"github.com/sealpost/sealpost/internal/fault"
)

// FTPConfig says where an FTP server is and how to log in.
type FTPConfig struct {
	Server string `yaml:"server"` // "ftp.example.com" or "ftp.example.com:2121"

	// Security is explicit (AUTH TLS; the default), implicit (TLS from the first byte, port 990) or none. Without TLS anybody
	// on the way can read the password, and with it replace what is published by nothing.
	Security  string `yaml:"security"`
	TrustFile string `yaml:"trust_file"` // PEM certificates that the server's must come from; empty: those of the operating system

	Folder       string `yaml:"folder"`        // from where the login begins; empty: there
	Login        string `yaml:"login"`         // must be able to list the folder and read in it, too
	PasswordFile string `yaml:"password_file"` // its first line; the file must not be readable by others

	// DeleteFirst is for servers that do not rename over an existing file, such as that of Windows in some configurations: the
	// old file is deleted just before. For that moment, and longer if the connection is lost in it, relying parties find
	// nothing there. False: such a server gets no new list, and the status says why.
	DeleteFirst bool `yaml:"delete_first"`

	Timeout time.Duration `yaml:"timeout"` // how long the server may be silent at each step; 0 means 30s

	Password string           `yaml:"-"` // content of password_file
	Trust    *x509.CertPool   `yaml:"-"` // content of trust_file; nil means the system's
	Now      func() time.Time `yaml:"-"` // nil means time.Now
}

// FTP is a folder on an FTP server. FTP has no way to say "replace it if it is still what I read": two writers that do not
// share a lock can put an older file over a newer one.
type FTP struct {
	config      ftp.Config
	folder      string
	deleteFirst bool
	now         func() time.Time
	busy        chan struct{} // one writer of ours at a time
}

// NewFTP checks c. It does not connect.
func NewFTP(c FTPConfig) (*FTP, error) {
	p := &FTP{folder: c.Folder, deleteFirst: c.DeleteFirst, now: c.Now, busy: make(chan struct{}, 1)}
	if p.now == nil {
		p.now = time.Now
	}
	p.config = ftp.Config{Address: c.Server, Security: ftp.Explicit, Trust: c.Trust, Login: c.Login, Password: c.Password, Step: c.Timeout, Limit: MaxSize + 1}
	if c.Timeout == 0 {
		p.config.Step = 30 * time.Second
	}
	var errs []error
	port := "21"
	switch c.Security {
	case "", "explicit":
	case "implicit":
		p.config.Security, port = ftp.Implicit, "990"
	case "none":
		p.config.Security = ftp.Plain
	default:
		errs = append(errs, fmt.Errorf("security: %q is not explicit, implicit or none", c.Security))
	}
	if _, _, err := net.SplitHostPort(c.Server); err != nil {
		p.config.Address = net.JoinHostPort(strings.Trim(c.Server, "[]"), port)
	}
	if host, _, err := net.SplitHostPort(p.config.Address); err != nil || host == "" || strings.ContainsAny(c.Server, "/@ ") {
		errs = append(errs, errors.New("server: must be a host, or host:port"))
	}
	for _, v := range [...][2]string{{"login", c.Login}, {"password_file: the password", c.Password}, {"folder", c.Folder}} {
		if strings.ContainsAny(v[1], "\r\n\x00") {
			errs = append(errs, fmt.Errorf("%s has a line end in it", v[0]))
		}
	}
	if c.Login == "" {
		errs = append(errs, errors.New("login: is missing"))
	}
	if c.Timeout < 0 {
		errs = append(errs, errors.New("timeout: is negative"))
	}
	return p, errors.Join(errs...)
}

// session runs fn on a connection that is in the folder.
func (p *FTP) session(ctx context.Context, fn func(*ftp.Conn) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := p.open(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return said(fn(c))
}

func (p *FTP) open(ctx context.Context) (*ftp.Conn, error) {
	c, err := ftp.Open(ctx, p.config)
	if err != nil {
		return nil, said(err)
	}
	if err := c.Enter(p.folder); err != nil {
		c.Close()
		return nil, said(err)
	}
	return c, nil
}

// said gives faults of the connection the names of this package.
func said(err error) error {
	for was, is := range map[*fault.Error]*fault.Error{ftp.ErrUnreachable: ErrUnreachable, ftp.ErrLogin: ErrRefused, ftp.ErrRefused: ErrRefused, ftp.ErrAbsent: ErrAbsent} {
		if f := fault.Of(err); f != nil && f.Code == was.Code {
			return is.Withf("%s", f.Detail).Because(err)
		}
	}
	return err
}

// Put implements Point: it uploads under another name, asks for the size and renames.
func (p *FTP) Put(ctx context.Context, f File) error {
	if err := f.check(); err != nil {
		return err
	}
	select {
	case p.busy <- struct{}{}:
	case <-ctx.Done():
		return ErrUnreachable.Withf("The FTP server %s is still busy with another file.", p.config.Address).Because(context.Cause(ctx))
	}
	defer func() { <-p.busy }()
	// Reading may be broken off, and then the connection is of no more use: writing gets its own.
	err := p.session(ctx, func(c *ftp.Conn) error { return p.compare(c, f) })
	if errors.Is(err, list.ErrSame) {
		return nil
	}
	if err == nil {
		err = f.verify()
	}
	if err != nil {
		return err
	}
	return p.session(ctx, func(c *ftp.Conn) error { return p.replace(c, f) })
}

// compare judges what is there.
func (p *FTP) compare(c *ftp.Conn, f File) error {
	names, err := c.Names()
	if err != nil {
		return err
	}
	in, err := c.Get(f.Name)
	if errors.Is(err, ftp.ErrAbsent) {
		// Lists of names leave out what they may not show, without a word; a size tells too that there is something.
		if size, unknown := c.Size(f.Name); slices.Contains(names, f.Name) || unknown == nil && size >= 0 {
			return ErrRefused.Withf("The login may not read %s, so Sealpost cannot tell whether it may be replaced.", f.Name).Because(err)
		}
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close()
	return f.judge(in)
}

func (p *FTP) replace(c *ftp.Conn, f File) error {
	names, err := c.Names()
	if err != nil {
		return err
	}
	for _, n := range names {
		if abandoned(n, p.now()) {
			_ = c.Delete(n) // or the next time
		}
	}
	name := temporary(p.now())
	if err = p.upload(c, name, f); err == nil {
		err = p.rename(c, name, f.Name, slices.Contains(names, f.Name))
	}
	if err != nil {
		_ = c.Delete(name) // or, if the connection is lost, a later Put does
	}
	return err
}

func (p *FTP) upload(c *ftp.Conn, name string, f File) error {
	source := &source{in: f.reader()}
	err := c.Put(name, source)
	if source.err != nil {
		return source.err
	}
	if err != nil {
		return err
	}
	size, err := c.Size(name)
	switch {
	case err != nil:
		return err
	case size < 0: // the server does not know SIZE: read it
		return p.reread(c, name, f)
	case size != f.Size:
		return ErrRefused.Withf("The FTP server kept %d of the %d bytes of %s. Nothing was replaced.", size, f.Size, f.Name)
	}
	return nil
}

func (p *FTP) reread(c *ftp.Conn, name string, f File) error {
	in, err := c.Get(name)
	if err != nil {
		return err
	}
	defer in.Close()
	_, err = io.Copy(io.Discard, f.checked(in))
	if errors.Is(err, ErrFile) {
		return ErrRefused.Withf("The FTP server did not keep %s as it was sent. Nothing was replaced.", f.Name)
	}
	return err
}

// rename puts the uploaded file in its place.
func (p *FTP) rename(c *ftp.Conn, from, to string, taken bool) error {
	err := c.Rename(from, to)
	if !taken || !errors.Is(err, ftp.ErrRefused) {
		return err
	}
	if !p.deleteFirst {
		return ErrRefused.Withf("The FTP server does not rename over an existing file, so %s stays the old one. %s An operator must allow that on the server; "+
			"or set delete_first, and there is no file for a moment at each delivery.", to, fault.Of(err).Detail).Because(err)
	}
	if err := c.Delete(to); err != nil {
		return err
	}
	return c.Rename(from, to)
}

// Get implements Point.
func (p *FTP) Get(ctx context.Context, f File) (io.ReadCloser, error) {
	if err := f.checkName(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	c, err := p.open(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	in, err := c.Get(f.Name)
	if err != nil {
		c.Close()
		cancel()
		return nil, said(err)
	}
	return &session{in: in, end: func() {
		_ = in.Close() // what was not read is not wanted
		c.Close()
		cancel()
	}}, nil
}

// session is a file with the connection that it comes over.
type session struct {
	in  io.Reader
	end func()
}

func (s *session) Read(b []byte) (int, error) {
	n, err := s.in.Read(b)
	if err != nil && err != io.EOF { // exactly the end
		err = said(err)
	}
	return n, err
}

func (s *session) Close() error {
	s.end()
	return nil
}
