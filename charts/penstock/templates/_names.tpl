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

{{/* The ConfigMap with the authorities of the databases; empty without. */}}
{{- define "penstock.databaseAuthorities" -}}
{{- if .Values.database.ca.configMap }}
{{- if .Values.database.ca.pem }}
{{- fail "database.ca: give either configMap or pem" }}
{{- end }}
{{- .Values.database.ca.configMap }}
{{- else if trim .Values.database.ca.pem }}
{{- printf "%s-database-ca" (include "penstock.fullname" .) }}
{{- end }}
{{- end }}

{{/* What the operator may do to its own kinds, the same in every namespace that it watches. */}}
{{- define "penstock.rules" -}}
# The objects that it answers for. patch: its finalizer and the cost annotations; never the spec. get: to read one
# again when a write meets a newer version.
- apiGroups: [penstock.dev]
  resources: [dynamotables, auroraclusters, failoverdrills, costbudgets]
  verbs: [get, list, watch, patch]
# Status is written here and nowhere else.
- apiGroups: [penstock.dev]
  resources: [dynamotables/status, auroraclusters/status, failoverdrills/status, costbudgets/status]
  verbs: [patch]
# get: master passwords (an AuroraCluster names a Secret of its own namespace, credentials.passwordSecretRef), and the
# connection Secrets that the operator keeps, to see whether somebody edited one. create, patch: those connection Secrets.
# Their names come from the objects, so RBAC can name none; what may be made and changed is held by the admission policy
# {{ include "penstock.fullname" . }}-secrets (rbac.guardSecrets). Nothing is listed, watched or deleted: a connection
# Secret goes with its object, which owns it.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, patch]
# Events on the objects; patch counts repeats instead of writing new ones.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
