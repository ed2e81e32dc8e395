{{- define "tieout.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "tieout.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tieout.labels" -}}
{{ include "tieout.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "tieout.account" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "tieout.name" .) .Values.serviceAccount.name }}
{{- else }}{{ default "default" .Values.serviceAccount.name }}{{ end }}
{{- end }}

{{- define "tieout.image" -}}
{{ required "image.repository: the image with your App" .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}

{{/* A whole pod: its nodes serve, only sweep, or only migrate, as `command` says. */}}
{{- define "tieout.pod" -}}
{{- $root := .root }}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
serviceAccountName: {{ .account }}
automountServiceAccountToken: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  seccompProfile: { type: RuntimeDefault }
containers:
  - name: tieout
    image: {{ include "tieout.image" $root }}
    imagePullPolicy: {{ $root.Values.image.pullPolicy }}
    command: {{- toYaml .command | nindent 6 }}
    env:
      - name: TIEOUT_DB
        valueFrom:
          secretKeyRef:
            name: {{ required "database.existingSecret: the Secret with the database's URL" $root.Values.database.existingSecret }}
            key: {{ $root.Values.database.key }}
      {{- with $root.Values.env }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- with $root.Values.envFrom }}
    envFrom: {{- toYaml . | nindent 6 }}
    {{- end }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: { drop: [ALL] }
    {{- if .serves }}
    ports:
      - { name: http, containerPort: 8080 }
    startupProbe:
      httpGet: { path: {{ include "tieout.prefix" $root }}/healthz, port: http }
      periodSeconds: 2
      failureThreshold: 30
    livenessProbe:
      httpGet: { path: {{ include "tieout.prefix" $root }}/healthz, port: http }
      periodSeconds: 10
      timeoutSeconds: 5
    readinessProbe:
      httpGet: { path: {{ include "tieout.prefix" $root }}/readyz, port: http }
      periodSeconds: 5
      timeoutSeconds: 3
    {{- end }}
    resources: {{- toYaml $root.Values.resources | nindent 6 }}
    volumeMounts:
      - { name: settings, mountPath: /etc/tieout, readOnly: true }
      - { name: tmp, mountPath: /tmp }
volumes:
  - name: settings
    {{- if .settings }}
    configMap: { name: {{ .settings }} }
    {{- else }}
    emptyDir: {}
    {{- end }}
  - name: tmp
    emptyDir: {}
{{- with $root.Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "tieout.prefix" -}}
{{ dig "server" "prefix" "" .Values.settings }}
{{- end }}

{{/* How long a node may take to end: what it drains for, and what Granian may take behind that. */}}
{{- define "tieout.grace" -}}
{{ add (int (dig "server" "drain" 30 .Values.settings)) 15 }}
{{- end }}
