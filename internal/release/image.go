package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"
)

// object is JSON, whose keys Go writes in their order.
type object = map[string]any

// image makes a container image that holds the binary and nothing else, as an
// archive that `docker load` and `podman load` take: an OCI image layout
// (https://github.com/opencontainers/image-spec) with Docker's manifest beside.
func (r *release) image(p platform, binary []byte) ([]byte, error) {
	layer, err := r.tar([]entry{
		{"consentsync", 0o755, binary},
		{name: "data/", mode: 0o777}, // of whichever user it runs as
		{name: "tmp/", mode: 0o777},
	})
	if err != nil {
		return nil, err
	}
	config := object{
		"created": r.at.Format(time.RFC3339), "os": p.os, "architecture": p.arch,
		"config": object{
			"Entrypoint": []string{"/consentsync"}, "Cmd": []string{"serve"}, "User": "65532:65532", "WorkingDir": "/",
			"Env":          []string{"CONSENTSYNC_DATA=/data", "CONSENTSYNC_LISTEN=:8080", "TMPDIR=/tmp"},
			"ExposedPorts": object{"8080/tcp": object{}}, "Volumes": object{"/data": object{}},
			"Labels": object{
				"org.opencontainers.image.title": "consentsync", "org.opencontainers.image.version": r.version,
				"org.opencontainers.image.revision": r.commit, "org.opencontainers.image.licenses": "Apache-2.0",
			},
		},
		"rootfs":  object{"type": "layers", "diff_ids": []string{digest(layer)}},
		"history": []object{{"created": r.at.Format(time.RFC3339), "created_by": "consentsync release"}},
	}
	configText, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	const kind = "application/vnd.oci.image."
	manifest, err := json.Marshal(object{
		"schemaVersion": 2, "mediaType": kind + "manifest.v1+json",
		"config": described(kind+"config.v1+json", configText), "layers": []object{described(kind+"layer.v1.tar", layer)},
	})
	if err != nil {
		return nil, err
	}
	tag := "consentsync:" + r.version
	entryOf := described(kind+"manifest.v1+json", manifest)
	entryOf["annotations"] = object{"io.containerd.image.name": "docker.io/library/" + tag, "org.opencontainers.image.ref.name": r.version}
	index, err := json.Marshal(object{"schemaVersion": 2, "mediaType": kind + "index.v1+json", "manifests": []object{entryOf}})
	if err != nil {
		return nil, err
	}
	dockers, err := json.Marshal([]object{{"Config": blob(configText), "RepoTags": []string{tag}, "Layers": []string{blob(layer)}}})
	if err != nil {
		return nil, err
	}
	return r.tar([]entry{
		{name: "blobs/", mode: 0o755},
		{name: "blobs/sha256/", mode: 0o755},
		{blob(configText), 0o644, configText},
		{blob(layer), 0o644, layer},
		{blob(manifest), 0o644, manifest},
		{"index.json", 0o644, index},
		{"manifest.json", 0o644, dockers},
		{"oci-layout", 0o644, []byte(`{"imageLayoutVersion":"1.0.0"}`)},
	})
}

func digest(text []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(text)) }

func blob(text []byte) string { return fmt.Sprintf("blobs/sha256/%x", sha256.Sum256(text)) }

func described(kind string, text []byte) object {
	return object{"mediaType": kind, "digest": digest(text), "size": len(text)}
}
