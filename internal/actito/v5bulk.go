package actito

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"path"
	"slices"
	"strings"
)

// loadPart is the name of the part that holds the file: that of V4's imports.
const loadPart = "inputFile"

const executionsPart = "etl-executions"

func (d v5) imports(entity string, segments ...string) string {
	return d.path("mass-imports", append([]string{"entities", entity}, segments...)...)
}

func (d v5) execution(entity, id string) call {
	return call{op: "actito.LoadResult", method: http.MethodGet, path: d.imports(entity, executionsPart, id)}
}

// trigger builds a call that reads the file as often as it is made.
func (d v5) trigger(l Load, file *scratch) (call, error) {
	req := call{
		op: "actito.TriggerLoad", method: http.MethodPost,
		path: d.imports(l.Entity, "etls", l.ETLID, "trigger-execution"),
	}
	var frame bytes.Buffer
	form := multipart.NewWriter(&frame)
	header := textproto.MIMEHeader{}
	header.Set("Content-Disposition", `form-data; name="`+loadPart+`"; filename="profiles.zip"`)
	header.Set("Content-Type", "application/zip")
	if _, err := form.CreatePart(header); err != nil {
		return req, unwritten(req.op, err)
	}
	before := frame.Len()
	if err := form.Close(); err != nil {
		return req, unwritten(req.op, err)
	}
	head, tail := frame.Bytes()[:before], frame.Bytes()[before:]
	req.upload = &upload{
		contentType: form.FormDataContentType(),
		size:        int64(frame.Len()) + file.size,
		open: func() io.Reader {
			return io.MultiReader(bytes.NewReader(head), file.reader(), bytes.NewReader(tail))
		},
		private: file.keysIn,
	}
	return req, nil
}

// parseTrigger finds the id of the execution: under a name of its own anywhere
// in the answer, in a link, in the Location, as the whole answer, or as the "id"
// of the answer or of an execution in it. One that is the ETL's own is not
// believed: it would lead to somebody else's execution. It is empty for none.
func (d v5) parseTrigger(l Load, header http.Header, body []byte) string {
	answer, err := decode(body)
	if err != nil {
		answer = nil
	}
	named := func(_ string, object map[string]any) string {
		return text(field(object, "executionId", "etlExecutionId", "etl.executionId", "execution_id"))
	}
	linked := func(_ string, object map[string]any) string { return executionIn(text(field(object, "href"))) }
	plain := func(key string, object map[string]any) string {
		if key == "" || rank(key, "execution") == 0 || strings.EqualFold(key, "data") || strings.EqualFold(key, "result") {
			return text(field(object, "id"))
		}
		return ""
	}
	whole := text(answer)
	if !strings.ContainsAny(whole, "0123456789") {
		whole = "" // a word like "accepted"
	}
	for _, found := range []string{
		anywhere("", answer, named), anywhere("", answer, linked), executionIn(header.Get("Location")), whole,
		anywhere("", answer, plain),
	} {
		if found != l.ETLID && checkSegments("", "id", found) == nil && len(found) <= 200 &&
			!strings.ContainsAny(found, "/?#<> \r\n") {
			return found
		}
	}
	return ""
}

// anywhere gives what look finds in the first of the objects in a value. It is
// told under which key the object stands, none for the value itself.
func anywhere(key string, v any, look func(key string, object map[string]any) string) string {
	switch v := v.(type) {
	case map[string]any:
		if found := look(key, v); found != "" {
			return found
		}
		for _, k := range sortedKeys(v) {
			if found := anywhere(k, v[k], look); found != "" {
				return found
			}
		}
	case []any:
		for _, element := range v {
			if found := anywhere(key, element, look); found != "" {
				return found
			}
		}
	}
	return ""
}

// executionIn gives the id in a link to an execution.
func executionIn(href string) string {
	u, err := url.Parse(href)
	if err != nil {
		return ""
	}
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	if i := slices.Index(parts, executionsPart); i >= 0 && i+1 < len(parts) {
		return parts[i+1]
	}
	return ""
}

// resultFile builds the call for a link in an answer. Only links to the client's
// own host count: the call carries the token. A link that begins with a slash
// begins where the API does.
func (d v5) resultFile(base string, link resultLink) (call, bool) {
	req := call{op: "actito.LoadResult", method: http.MethodGet, accept: "*/*"}
	home, err := url.Parse(base)
	if err != nil {
		return req, false
	}
	u, err := url.Parse(link.href)
	if err != nil || u.User != nil || u.Opaque != "" || !strings.HasPrefix(u.Path, "/") ||
		strings.Contains(u.Path, `\`) || path.Clean(u.Path) != u.Path {
		return req, false
	}
	relative := u.Scheme == "" && u.Host == ""
	if !relative && (u.Scheme != home.Scheme || !strings.EqualFold(u.Host, home.Host)) {
		return req, false
	}
	req.path = u.EscapedPath()
	prefix := strings.TrimRight(home.EscapedPath(), "/")
	rest, within := strings.CutPrefix(req.path, prefix+"/")
	switch {
	case within:
		req.path = "/" + rest
	case !relative:
		return req, false
	}
	if u.RawQuery != "" {
		req.path += "?" + u.RawQuery
	}
	return req, true
}

// The words in which an execution's status may come. Only SUCCESS is known.
var (
	endedWell  = []string{"SUCCESS", "SUCCEEDED", "SUCCESSFUL", "DONE", "COMPLETED", "COMPLETE", "FINISHED", "ENDED", "OK"}
	endedPart  = []string{"WITH_ERROR", "WITH_REJECT", "WITH_WARNING", "WITH_FAIL", "PARTIAL"}
	endedBadly = []string{"ERROR", "FAIL", "ABORT", "CANCEL", "REJECT", "UNSUCCESS", "INTERRUPT", "KILLED"}
)

// stateOf reads a status. What is not known has not ended: waiting for the end
// harms nobody. Partly says that rows were refused.
func stateOf(status string) (state LoadState, partly bool) {
	word := strings.NewReplacer(" ", "_", "-", "_").Replace(strings.ToUpper(strings.TrimSpace(status)))
	if before, _, found := strings.Cut(word, "_WITHOUT_"); found {
		word = before
	}
	contains := func(part string) bool { return strings.Contains(word, part) }
	switch {
	case slices.Contains(endedWell, word):
		return LoadSucceeded, false
	case strings.HasSuffix(word, "ING"), strings.HasPrefix(word, "IN_"):
		return LoadRunning, false
	case slices.ContainsFunc(endedPart, contains):
		return LoadSucceeded, true
	case slices.ContainsFunc(endedBadly, contains):
		return LoadFailed, false
	}
	return LoadRunning, false
}

// parseExecution reads what an execution tells about itself. The bodies of V5
// are not published, so whatever is called like an error counts, wherever it
// stands; see report.
func (d v5) parseExecution(body []byte, keyAttribute string) (*report, error) {
	var answer map[string]json.RawMessage
	if err := json.Unmarshal(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), &answer); err != nil || answer == nil {
		return nil, errors.New("the answer is not a JSON object")
	}
	r := &report{keyAttribute: keyAttribute, troubles: map[string]int{}}
	if err := r.read(answer, "", 0); err != nil {
		return nil, err
	}
	partly := false
	if r.state, partly = stateOf(r.status); partly {
		r.least = 1
	}
	return r, nil
}
