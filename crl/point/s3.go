package point

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/sealpost/sealpost/crl/list"
	"github.com/sealpost/sealpost/crl/wire"
)

// S3Config says where a bucket is and whose key writes to it.
type S3Config struct {
	Endpoint  string `yaml:"endpoint"`   // "https://s3.eu-central-1.amazonaws.com", "https://minio.example.com:9000"
	TrustFile string `yaml:"trust_file"` // PEM certificates that the server's must come from; empty: those of the operating system
	Region    string `yaml:"region"`     // empty means us-east-1, which most stores but Amazon's take
	Bucket    string `yaml:"bucket"`     // must exist; it is addressed as the first part of the path
	Prefix    string `yaml:"prefix"`     // before the names: "crl/"; empty: nothing

	AccessKey     string `yaml:"access_key"`      // needs s3:GetObject, s3:PutObject, and s3:ListBucket so that what is absent can be told from what is forbidden
	SecretKeyFile string `yaml:"secret_key_file"` // its first line; the file must not be readable by others

	// MaxAge is how long caches before the store may keep a file (Cache-Control); 0 means ten minutes. Never beyond a list's nextUpdate.
	MaxAge  time.Duration `yaml:"max_age"`
	Timeout time.Duration `yaml:"timeout"` // how long the server may be silent at each step; 0 means 30s

	SecretKey string           `yaml:"-"` // content of secret_key_file
	Trust     *x509.CertPool   `yaml:"-"` // content of trust_file; nil means the system's
	Now       func() time.Time `yaml:"-"` // nil means time.Now
}

// S3 is a bucket of an S3-compatible store. What is written names what it replaces (If-Match, If-None-Match), so that an
// older file never comes over a newer one, however many servers write and without any lock: the store must know these
// conditions, as Amazon's, MinIO's, Ceph's and others do.
type S3 struct {
	endpoint string // with bucket and prefix
	region   string
	maxAge   time.Duration
	key      aws.Credentials
	signer   *v4.Signer
	client   *http.Client
	now      func() time.Time
}

var (
	bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	keyPrefix  = regexp.MustCompile(`^([A-Za-z0-9._-]+/)*[A-Za-z0-9._-]*$`)
)

// NewS3 checks c. It does not connect.
func NewS3(c S3Config) (*S3, error) {
	var errs []error
	say := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		say("endpoint: must be https://host[:port] or http://host[:port]")
	}
	if !bucketName.MatchString(c.Bucket) {
		say("bucket: %q is no name of a bucket", c.Bucket)
	}
	if !keyPrefix.MatchString(c.Prefix) {
		say("prefix: may hold letters, digits, dots, hyphens, underscores, and slashes between them")
	}
	if c.AccessKey == "" || c.SecretKey == "" {
		say("access_key: the access key or its secret is missing")
	}
	if c.MaxAge < 0 || c.Timeout < 0 {
		say("max_age, timeout: must not be negative")
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	p := &S3{
		endpoint: u.Scheme + "://" + u.Host + "/" + c.Bucket + "/" + c.Prefix, region: c.Region, maxAge: c.MaxAge, now: c.Now,
		key:    aws.Credentials{AccessKeyID: c.AccessKey, SecretAccessKey: c.SecretKey},
		signer: v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }),
	}
	if p.region == "" {
		p.region = "us-east-1"
	}
	if p.maxAge == 0 {
		p.maxAge = 10 * time.Minute
	}
	if p.now == nil {
		p.now = time.Now
	}
	step := c.Timeout
	if step == 0 {
		step = 30 * time.Second
	}
	p.client = &http.Client{
		// Connections are not kept: deliveries are rare, and each ends with its context.
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				return wire.Dialer{Connect: step, Step: step, Limit: 2 * MaxSize}.Dial(ctx, network, address)
			},
			TLSClientConfig:     &tls.Config{RootCAs: c.Trust, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: step, ResponseHeaderTimeout: step, ExpectContinueTimeout: 2 * time.Second,
			DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return p, nil
}

// errCrossed says that the object changed between reading and writing.
var errCrossed = errors.New("the object was changed by others at the same time")

// Put implements Point.
func (p *S3) Put(ctx context.Context, f File) error {
	if err := f.check(); err != nil {
		return err
	}
	const attempts = 10
	var err error
	for range attempts {
		if err = p.put(ctx, f); !errors.Is(err, errCrossed) {
			return err
		}
	}
	return ErrUnreachable.Withf("%s%s is being changed by others. Try again later.", p.endpoint, f.Name).Because(err)
}

func (p *S3) put(ctx context.Context, f File) error {
	condition, err := p.compare(ctx, f)
	if errors.Is(err, list.ErrSame) {
		return nil
	}
	if err == nil {
		err = f.verify()
	}
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, p.endpoint+f.Name, f.reader())
	if err != nil {
		return err
	}
	request.ContentLength = f.Size
	request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(f.reader()), nil }
	request.Header = condition
	request.Header.Set("Content-Type", media[f.Kind])
	request.Header.Set("Cache-Control", p.cacheControl(f))
	request.Header.Set("Expect", "100-continue") // so that a refusal comes before the content goes
	response, err := p.do(request, hex.EncodeToString(f.SHA256[:]))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK, http.StatusCreated, http.StatusNoContent:
		return nil
	case http.StatusPreconditionFailed, http.StatusConflict:
		return errCrossed
	}
	return p.refused(response, "write "+f.Name)
}

// compare judges what is there, and returns the headers by which a write replaces just that.
func (p *S3) compare(ctx context.Context, f File) (http.Header, error) {
	response, err := p.get(ctx, f)
	if errors.Is(err, ErrAbsent) {
		return http.Header{"If-None-Match": {"*"}}, nil
	}
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	tag := response.Header.Get("Etag")
	if tag == "" {
		return nil, ErrRefused.Withf("The store does not say which version of %s it has (no ETag), so Sealpost cannot replace just that one.", f.Name)
	}
	if err := f.judge(&body{response.Body, p}); err != nil {
		return nil, err
	}
	return http.Header{"If-Match": {tag}}, nil
}

// get asks for the object. Its status is 200.
func (p *S3) get(ctx context.Context, f File) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.endpoint+f.Name, nil)
	if err != nil {
		return nil, err
	}
	empty := sha256.Sum256(nil)
	response, err := p.do(request, hex.EncodeToString(empty[:]))
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer response.Body.Close()
	return nil, p.refused(response, "give out "+f.Name)
}

// do signs a request (Signature Version 4) with the digest of its content, which the store checks, and sends it.
func (p *S3) do(request *http.Request, digest string) (*http.Response, error) {
	ctx := request.Context()
	request.Header.Set("X-Amz-Content-Sha256", digest)
	if err := p.signer.SignHTTP(ctx, p.key, request, digest, "s3", p.region, p.now()); err != nil {
		return nil, err
	}
	response, err := p.client.Do(request)
	if err != nil {
		return nil, p.broken(ctx, err)
	}
	return response, nil
}

func (p *S3) broken(ctx context.Context, err error) error {
	var bad *tls.CertificateVerificationError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case errors.Is(err, ErrFile):
		return err
	case errors.As(err, &bad):
		return ErrUnreachable.Withf("The certificate of the store at %s is not one to trust.", p.endpoint).Because(err)
	}
	return ErrUnreachable.Withf("The store at %s does not answer, or broke off.", p.endpoint).Because(err)
}

// cacheControl says how long caches may keep a file that is written now.
func (p *S3) cacheControl(f File) string {
	age := p.maxAge
	if f.Head != nil && !f.Head.NextUpdate.IsZero() {
		age = max(0, min(age, f.Head.NextUpdate.Sub(p.now())))
	}
	return "public, max-age=" + strconv.Itoa(int(age/time.Second))
}

// refused says what a negative answer means for an operator.
func (p *S3) refused(response *http.Response, what string) error {
	const most = 64 << 10
	var answer struct{ Code, Message string }
	b, err := io.ReadAll(io.LimitReader(response.Body, most))
	if err == nil {
		err = xml.Unmarshal(b, &answer)
	}
	if err != nil || !plainWord.MatchString(answer.Code) {
		answer.Code = "no reason"
	}
	cause := fmt.Errorf("status %d, %s: %.200q", response.StatusCode, answer.Code, answer.Message)
	switch status := response.StatusCode; {
	case answer.Code == "NoSuchBucket":
		return ErrRefused.Withf("The store has no such bucket: %s. An operator must create it, or correct endpoint, region and bucket.", p.endpoint).Because(cause)
	case answer.Code == "NoSuchKey":
		return ErrAbsent.Because(cause)
	case status == http.StatusForbidden, status == http.StatusUnauthorized:
		return ErrRefused.Withf("The store does not let the access key %s %s: %s. An operator must check the key, its secret and its rights.", p.key.AccessKeyID, what, answer.Code).Because(cause)
	case status == http.StatusInsufficientStorage, answer.Code == "QuotaExceeded", answer.Code == "XMinioStorageFull":
		return ErrFull.Withf("The store at %s has no room left.", p.endpoint).Because(cause)
	case status == http.StatusNotImplemented:
		return ErrRefused.Withf("The store at %s does not know conditional writes (If-Match), which keep an older list from replacing a newer one.", p.endpoint).Because(cause)
	case status >= 500, status == http.StatusTooManyRequests:
		return ErrUnreachable.Withf("The store at %s cannot %s now: status %d, %s.", p.endpoint, what, status, answer.Code).Because(cause)
	default:
		return ErrRefused.Withf("The store at %s does not %s: status %d, %s.", p.endpoint, what, status, answer.Code).Because(cause)
	}
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9.]{1,64}$`)

// Get implements Point.
func (p *S3) Get(ctx context.Context, f File) (io.ReadCloser, error) {
	if err := f.checkName(); err != nil {
		return nil, err
	}
	response, err := p.get(ctx, f)
	if err != nil {
		return nil, err
	}
	return &body{response.Body, p}, nil
}

// body is an object on its way. An end that comes too early is an error of the way, not of the object.
type body struct {
	io.ReadCloser
	point *S3
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF { // exactly the end
		err = ErrUnreachable.Withf("The store at %s broke off.", b.point.endpoint).Because(err)
	}
	return n, err
}
