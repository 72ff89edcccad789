{{/* The release's full name: one chart a namespace is usual, so the chart's name is not said twice. */}}
{{- define "penstock.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "penstock.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "penstock.labels" -}}
{{ include "penstock.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "penstock.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "penstock.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name: must name the ServiceAccount to use, because serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "penstock.image" -}}
{{- $tag := default .Chart.AppVersion .Values.image.tag }}
{{- if .Values.image.digest }}
{{- printf "%s:%s@%s" .Values.image.repository $tag .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository $tag }}
{{- end }}
{{- end }}

{{- define "penstock.lease" -}}
{{ include "penstock.fullname" . }}-operator
{{- end }}

{{/* What the operator may do to its own kinds, the same in every namespace that it watches. */}}
{{- define "penstock.rules" -}}
# The objects that it answers for. patch: its finalizer and the cost annotations; never the spec. get: to read one
# again when a write meets a newer version.
- apiGroups: [penstock.dev]
  resources: [dynamotables, auroraclusters, failoverdrills]
  verbs: [get, list, watch, patch]
# Status is written here and nowhere else.
- apiGroups: [penstock.dev]
  resources: [dynamotables/status, auroraclusters/status, failoverdrills/status]
  verbs: [patch]
# Master passwords: an AuroraCluster names a Secret of its own namespace (credentials.passwordSecretRef). Which one is
# known only from the objects, so no names stand here. It is read every few seconds, since a changed password is a rotation;
# nothing is listed and nothing is written.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
# Events on the objects; patch counts repeats instead of writing new ones.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
