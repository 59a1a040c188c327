package telemetry

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sys/unix"
)

// NewRegistry makes a registry that tells of the process, and which program it
// is.
func NewRegistry(version, revision string) *prometheus.Registry {
	r := prometheus.NewRegistry()
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "consentsync_build_info", Help: "Always 1; the labels tell which program runs.",
	}, []string{"version", "revision", "goversion"})
	build.WithLabelValues(version, revision, runtime.Version()).Set(1)
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), build)
	return r
}

// Disk tells how much room there is where the data stands.
type Disk struct{ Dir string }

var (
	availableDesc = prometheus.NewDesc("consentsync_data_disk_available_bytes", "Room left on the disk of the data directory, for this program.", nil, nil)
	sizeDesc      = prometheus.NewDesc("consentsync_data_disk_size_bytes", "Size of the disk of the data directory.", nil, nil)
)

// Room gives what is left and the size, in bytes.
func (d Disk) Room() (available, size uint64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(d.Dir, &s); err != nil {
		return 0, 0, err
	}
	block := uint64(s.Bsize) //nolint:gosec // the size of a block is not negative
	return s.Bavail * block, s.Blocks * block, nil
}

// Describe is asked by the registry.
func (d Disk) Describe(ch chan<- *prometheus.Desc) {
	ch <- availableDesc
	ch <- sizeDesc
}

// Collect is asked by the registry. Where the disk does not tell, nothing is
// told of it.
func (d Disk) Collect(ch chan<- prometheus.Metric) {
	available, size, err := d.Room()
	if err != nil {
		return
	}
	ch <- prometheus.MustNewConstMetric(availableDesc, prometheus.GaugeValue, float64(available))
	ch <- prometheus.MustNewConstMetric(sizeDesc, prometheus.GaugeValue, float64(size))
}
