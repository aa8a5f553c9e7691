package portal

import (
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed assets/*.css assets/*.js assets/app/*.js assets/fonts/*.woff2 assets/icons/*.svg
var assetFiles embed.FS

// assetsPath is where they are served. A digest is part of each one's address, so that browsers keep it for good.
const assetsPath = "/assets/"

// assets are style sheets, scripts and fonts, and the icons that pages have inside.
type assets struct {
	served map[string]asset // by address
	urls   map[string]string
	digest map[string]string // sha384-…, by name (Subresource Integrity)
	icons  map[string]template.HTML
}

type asset struct {
	media   string
	content []byte
	packed  []byte // with gzip; nil where that gains nothing
}

func readAssets() (*assets, error) {
	a := &assets{served: map[string]asset{}, urls: map[string]string{}, digest: map[string]string{}, icons: map[string]template.HTML{}}
	var sheets []string
	err := fs.WalkDir(assetFiles, "assets", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := assetFiles.ReadFile(file)
		name := strings.TrimPrefix(file, "assets/")
		switch path.Ext(name) {
		case ".svg":
			a.icons[strings.TrimSuffix(path.Base(name), ".svg")] = iconOf(string(content))
		case ".css":
			sheets = append(sheets, name) // they name fonts by their addresses
		default:
			a.add(name, content)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, name := range sheets {
		content, err := assetFiles.ReadFile("assets/" + name)
		if err != nil {
			return nil, err
		}
		text := string(content)
		for font, url := range a.urls {
			text = strings.ReplaceAll(text, `url("`+font+`")`, `url("`+url+`")`)
		}
		a.add(name, []byte(text))
	}
	return a, nil
}

func (a *assets) add(name string, content []byte) {
	sum := sha512.Sum384(content)
	ext := path.Ext(name)
	url := assetsPath + strings.TrimSuffix(name, ext) + "-" + hex.EncodeToString(sum[:6]) + ext
	media := mime.TypeByExtension(ext)
	if ext == ".woff2" {
		media = "font/woff2"
	}
	a.served[url], a.urls[name], a.digest[name] = asset{media, content, pack(ext, content)}, url, "sha384-"+base64.StdEncoding.EncodeToString(sum[:])
}

// pack compresses what is text. Nothing in it is secret, so that its size tells nothing.
func pack(ext string, content []byte) []byte {
	if ext != ".js" && ext != ".css" {
		return nil
	}
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil
	}
	if _, err := z.Write(content); err != nil || z.Close() != nil || out.Len() >= len(content) {
		return nil
	}
	return out.Bytes()
}

// iconOf is an icon without what only its file needs. It is read from this program, never from people.
func iconOf(svg string) template.HTML {
	svg = svg[strings.Index(svg, "<svg"):]
	svg = strings.Join(strings.Fields(svg), " ")
	return template.HTML(strings.Replace(svg, "<svg", `<svg aria-hidden="true" focusable="false"`, 1))
}

func (a *assets) url(name string) (string, error) {
	if u, ok := a.urls[name]; ok {
		return u, nil
	}
	return "", fmt.Errorf("portal: there is no asset %s", name)
}

func (a *assets) integrity(name string) string { return a.digest[name] }

func (a *assets) icon(name string) (template.HTML, error) {
	if i, ok := a.icons[name]; ok {
		return i, nil
	}
	return "", fmt.Errorf("portal: there is no icon %s", name)
}

func (a *assets) serve(w http.ResponseWriter, r *http.Request) {
	found, ok := a.served[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", found.media)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	content := found.content
	if found.packed != nil {
		h.Set("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			h.Set("Content-Encoding", "gzip")
			content = found.packed
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(content)))
	_, _ = w.Write(content) // a browser that went away needs no answer
}
