{{- define "slmfleet.name" -}}
{{- if contains "slmfleet" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-slmfleet" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end -}}
{{- end }}

{{- define "slmfleet.selector" -}}
app.kubernetes.io/name: slmfleet
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: operator
{{- end }}

{{/* The same as a setting of the operator: engines let pods with these labels in. */}}
{{- define "slmfleet.podLabels" -}}
{{- $pairs := list -}}
{{- range $key, $value := include "slmfleet.selector" . | fromYaml }}{{ $pairs = append $pairs (printf "%s=%s" $key $value) }}{{ end -}}
{{- join "," $pairs -}}
{{- end }}

{{- define "slmfleet.labels" -}}
{{ include "slmfleet.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end }}

{{- define "slmfleet.image" -}}
{{- .Values.image.ref | default (printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion)) -}}
{{- end }}

{{- define "slmfleet.fetcherImage" -}}
{{- with .Values.fetcherImage }}{{ .ref | default (printf "%s:%s" .repository (.tag | default $.Chart.AppVersion)) }}{{ end -}}
{{- end }}

{{/* What the operator may do where its SLMDeployments are: in all namespaces, or in each one of watchNamespaces.
     No Secret is read: the kubelet does that, and says when one is missing. The guards' Secrets are only made. */}}
{{- define "slmfleet.rules" -}}
- apiGroups: [slmfleet.dev]
  resources: [slmdeployments]
  verbs: [get, list, watch]
- apiGroups: [slmfleet.dev]
  resources: [loraadapters]
  verbs: [list, watch]
- apiGroups: [slmfleet.dev]
  resources: [slmdeployments/status, loraadapters/status]
  verbs: [patch]
# Adapters are fetched by Jobs.
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments, controllerrevisions]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [services, serviceaccounts, persistentvolumeclaims, configmaps]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch]
# Garbage collection deletes the children of a deleted SLMDeployment; these can be superfluous while it exists.
- apiGroups: [apps]
  resources: [controllerrevisions]
  verbs: [delete]
- apiGroups: [""]
  resources: [serviceaccounts, configmaps, services]
  verbs: [delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [delete]
# A pod that is to go is marked with labels, one that hangs is deleted: its ReplicaSet makes another one.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, patch, delete]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
- apiGroups: [""]
  resources: [events]
  verbs: [list]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
